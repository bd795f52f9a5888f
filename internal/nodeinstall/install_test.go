package nodeinstall

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// nodes are the ways in which kubelets are told of their runtime.
var nodes = map[string]struct {
	files   map[string]string
	changed string // the file where the endpoint stands
	want    string // what it holds afterwards
	from    string
}{
	"flags of kubeadm": {
		kubeadm(kubeadmFlags, bareConfig), "/var/lib/kubelet/kubeadm-flags.env",
		`KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/portcullis/portcullis.sock --pod-infra-container-image=registry.k8s.io/pause:3.9"` + "\n",
		"--container-runtime-endpoint in /var/lib/kubelet/kubeadm-flags.env",
	},
	"extra flags win over those of kubeadm": {
		with(kubeadm(kubeadmFlags, bareConfig), "/etc/default/kubelet", "# --container-runtime-endpoint=unix:///old\r\nKUBELET_EXTRA_ARGS='--v=2 --container-runtime-endpoint unix:///run/containerd/containerd.sock'\r\n"),
		"/etc/default/kubelet",
		"# --container-runtime-endpoint=unix:///old\r\nKUBELET_EXTRA_ARGS='--v=2 --container-runtime-endpoint unix:///run/portcullis/portcullis.sock'\r\n",
		"--container-runtime-endpoint in /etc/default/kubelet",
	},
	"a configuration with the endpoint": {
		kubeadm("", bareConfig+"containerRuntimeEndpoint: \"unix:///run/containerd/containerd.sock\"  # ours\nlast: 1"), "/var/lib/kubelet/config.yaml",
		bareConfig + "containerRuntimeEndpoint: \"unix:///run/portcullis/portcullis.sock\"  # ours\nlast: 1",
		"containerRuntimeEndpoint in /var/lib/kubelet/config.yaml",
	},
	"an empty endpoint": {
		kubeadm("", bareConfig+"containerRuntimeEndpoint: ''\n"), "/var/lib/kubelet/config.yaml",
		bareConfig + "containerRuntimeEndpoint: 'unix:///run/portcullis/portcullis.sock'\n",
		"the kubelet's default",
	},
	"the kubelet's default": {
		kubeadm("", bareConfig), "/var/lib/kubelet/config.yaml",
		"# written by hand\ncontainerRuntimeEndpoint: unix:///run/portcullis/portcullis.sock\n" + strings.TrimPrefix(bareConfig, "# written by hand\n"),
		"the kubelet's default",
	},
	"a configuration in JSON": {
		kubeadm("", "\n{\"kind\": \"KubeletConfiguration\",\r\n \"maxPods\": 110}"), "/var/lib/kubelet/config.yaml",
		"\n{\"containerRuntimeEndpoint\": \"unix:///run/portcullis/portcullis.sock\", \"kind\": \"KubeletConfiguration\",\r\n \"maxPods\": 110}",
		"the kubelet's default",
	},
	"a configuration from Windows, indented": {
		kubeadm("", "---\r\n  kind: KubeletConfiguration\r\n  maxPods: 110\r\n"), "/var/lib/kubelet/config.yaml",
		"---\r\n  containerRuntimeEndpoint: unix:///run/portcullis/portcullis.sock\r\n  kind: KubeletConfiguration\r\n  maxPods: 110\r\n",
		"the kubelet's default",
	},
	"the last drop-in of the configuration": {
		map[string]string{
			"/usr/local/bin/portcullisd":                 "program",
			"/etc/systemd/system/kubelet.service":        "[Service]\nExecStart=/usr/bin/kubelet \\\n  --config /var/lib/kubelet/config.yaml \\\n  --config-dir=/etc/kubelet.d\n",
			"/var/lib/kubelet/config.yaml":               bareConfig + "containerRuntimeEndpoint: unix:///nowhere\n",
			"/etc/kubelet.d/10-first.conf":               "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///elsewhere\n",
			"/etc/kubelet.d/20-second.conf":              "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n",
			"/etc/kubelet.d/30-other.conf":               "kind: KubeletConfiguration\nmaxPods: 50\n",
			"/etc/kubelet.d/40-not-read.yaml":            "containerRuntimeEndpoint: unix:///not-read\n",
			"/usr/lib/systemd/system/kubelet.service":    "[Service]\nExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix:///hidden\n",
			"/usr/lib/systemd/system/kubelet.service.d/": "",
		},
		"/etc/kubelet.d/20-second.conf",
		"kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/portcullis/portcullis.sock\n",
		"containerRuntimeEndpoint in /etc/kubelet.d/20-second.conf",
	},
	"an administrator's unit": {
		map[string]string{
			"/usr/local/bin/portcullisd":          "program",
			"/etc/systemd/system/kubelet.service": "[Service]\n# ExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix:///x\nExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix:///run/containerd/containerd.sock \\\n  --config=/var/lib/kubelet/config.yaml\n",
			"/var/lib/kubelet/config.yaml":        bareConfig,
		},
		"/etc/systemd/system/kubelet.service",
		"[Service]\n# ExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix:///x\nExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix:///run/portcullis/portcullis.sock \\\n  --config=/var/lib/kubelet/config.yaml\n",
		"--container-runtime-endpoint in /etc/systemd/system/kubelet.service",
	},
	"a vendor's drop-in, of which a copy is made": {
		map[string]string{
			"/usr/local/bin/portcullisd":                            "program",
			"/usr/lib/systemd/system/kubelet.service":               vendorUnit,
			"/usr/lib/systemd/system/kubelet.service.d/10-run.conf": "[Service]\nEnvironment=\"RUN=--container-runtime-endpoint=unix:///run/containerd/containerd.sock\"\nExecStart=\nExecStart=/usr/bin/kubelet ${RUN} --config=/var/lib/kubelet/config.yaml\n",
			"/var/lib/kubelet/config.yaml":                          bareConfig,
		},
		"/etc/systemd/system/kubelet.service.d/10-run.conf",
		"[Service]\nEnvironment=\"RUN=--container-runtime-endpoint=unix:///run/portcullis/portcullis.sock\"\nExecStart=\nExecStart=/usr/bin/kubelet ${RUN} --config=/var/lib/kubelet/config.yaml\n",
		"--container-runtime-endpoint in /usr/lib/systemd/system/kubelet.service.d/10-run.conf",
	},
}

func with(files map[string]string, path, text string) map[string]string {
	files = maps.Clone(files)
	files[path] = text
	return files
}

func forEachNode(t *testing.T, test func(t *testing.T, m *machine, name string)) {
	for name, n := range nodes {
		t.Run(name, func(t *testing.T) {
			contents := maps.Clone(n.files)
			maps.DeleteFunc(contents, func(path, _ string) bool { return strings.HasSuffix(path, "/") })
			synctest.Test(t, func(t *testing.T) { test(t, newMachine(t, contents), name) })
		})
	}
}

func TestInstallChangesTheEndpointWhereItIsSetAndNothingElse(t *testing.T) {
	forEachNode(t, func(t *testing.T, m *machine, name string) {
		n := nodes[name]
		p, err := m.Prepare(context.Background(), "")
		require.NoError(t, err)
		require.Equal(t, n.from, p.Kubelet.From)
		require.NoError(t, m.Install(context.Background(), p))

		require.Equal(t, n.want, m.get(n.changed))
		require.Equal(t, DefaultListen, m.endpoint, "the kubelet uses portcullisd")
		require.True(t, m.active[socketUnit])
		require.Contains(t, m.get(DefaultConfig), "runtime: "+p.Socket+"\n")
		state, err := ReadState(m.root)
		require.NoError(t, err)
		require.Equal(t, Installed, state.Phase)

		again, err := m.Prepare(context.Background(), "")
		require.NoError(t, err)
		require.Empty(t, again.Diff(), "a second install has nothing to do")
	})
}

func TestUninstallLeavesTheNodeAsItWas(t *testing.T) {
	forEachNode(t, func(t *testing.T, m *machine, _ string) {
		before := m.snapshot()
		require.NoError(t, m.install())
		require.NotEqual(t, before, m.snapshot())

		did, err := m.Uninstall(context.Background())
		require.NoError(t, err)
		require.True(t, did)
		requireAsBefore(t, m, before)
		require.False(t, m.active[serviceUnit])

		did, err = m.Uninstall(context.Background())
		require.NoError(t, err)
		require.False(t, did, "there is nothing left to do")
	})
}

// requireAsBefore compares all files, but for the folder of the state, which the daemon has too.
func requireAsBefore(t *testing.T, m *machine, before map[string]string) {
	t.Helper()
	after := m.snapshot()
	for _, own := range []string{"/var/lib/portcullis", "/var/lib/portcullis/install.lock"} {
		delete(after, own)
	}
	require.Equal(t, before, after)
	require.NotEqual(t, DefaultListen, m.endpoint, "the kubelet does not use portcullisd")
	require.NotEmpty(t, m.endpoint, "the kubelet runs")
}

// TestWhateverFailsIsTakenBack makes every step fail in turn, for good or for a moment.
func TestWhateverFailsIsTakenBack(t *testing.T) {
	steps := []string{"version " + DefaultListen, "start portcullisd.socket", "start portcullisd.service", "reload", "restart kubelet.service", "healthz " + DefaultListen}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
				before := m.snapshot()
				once := step == "reload" || strings.HasPrefix(step, "restart")
				m.fail = func(s string) error {
					if s != step {
						return nil
					}
					if once {
						m.fail = func(string) error { return nil }
					}
					return errors.New("broken on purpose")
				}
				var back *RolledBack
				require.ErrorAs(t, m.install(), &back)
				require.ErrorContains(t, back, "broken on purpose")
				requireAsBefore(t, m, before)
				state, err := ReadState(m.root)
				require.NoError(t, err)
				require.Nil(t, state)
			})
		})
	}
}

func TestKubeletThatDoesNotComeToPortcullisIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		before := m.snapshot()
		elsewhere := &elsewhere{machine: m}
		m.Probe = elsewhere
		var back *RolledBack
		require.ErrorAs(t, m.install(), &back)
		require.ErrorContains(t, back, "it is not connected to /run/portcullis/portcullis.sock")
		requireAsBefore(t, m, before)
	})
}

// elsewhere is a machine whose kubelet is healthy and never seen at portcullisd.
type elsewhere struct{ *machine }

func (e *elsewhere) Clients(socket string) (peers, error) {
	if strings.HasSuffix(socket, DefaultListen) {
		return nil, nil
	}
	return e.machine.Clients(socket)
}

func TestKubeletThatStartsAgainAndAgainIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		before := m.snapshot()
		m.fail = func(step string) error {
			if step == "healthz "+DefaultListen {
				m.startKubelet() // it was well for a moment
			}
			return nil
		}
		var back *RolledBack
		require.ErrorAs(t, m.install(), &back)
		require.ErrorContains(t, back, "it started 6 times")
		requireAsBefore(t, m, before)
	})
}

func TestInterruptedInstallIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		before := m.snapshot()
		p, err := m.Prepare(context.Background(), "")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		m.fail = func(step string) error {
			if step == "healthz "+DefaultListen {
				cancel() // Ctrl-C, or the connection of the terminal is lost
				return errors.New("not yet")
			}
			return nil
		}
		var back *RolledBack
		require.ErrorAs(t, m.Install(ctx, p), &back)
		require.ErrorContains(t, back, "interrupted")
		requireAsBefore(t, m, before)
	})
}

// killed ends a run as SIGKILL does.
var errKilled = errors.New("killed")

// TestRunThatWasKilledCanBeFinishedOrTakenBack ends install at each of its steps, and between the writes of
// each file, without any of its own cleaning up.
func TestRunThatWasKilledCanBeFinishedOrTakenBack(t *testing.T) {
	for at := 1; ; at++ {
		reached := false
		for _, next := range []string{"install", "uninstall", "uninstall, killed too"} {
			t.Run(fmt.Sprintf("step %d, then %s", at, next), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
					before := m.snapshot()
					if reached = m.killedAt(at, func() { _ = m.install() }); !reached {
						return
					}
					if strings.HasSuffix(next, "killed too") {
						m.killedAt(at/2, func() { _, _ = m.Uninstall(context.Background()) })
					}
					if next == "install" {
						require.NoError(t, m.install())
						require.Equal(t, DefaultListen, m.endpoint)
					}
					_, err := m.Uninstall(context.Background())
					require.NoError(t, err)
					requireAsBefore(t, m, before)
				})
			})
		}
		if !reached {
			require.Greater(t, at, 15, "steps were seen")
			return
		}
	}
}

// killedAt runs work and ends it at its nth step or message, which is between any two writes.
func (m *machine) killedAt(n int, work func()) (reached bool) {
	fail, say := m.fail, m.Say
	defer func() {
		m.fail, m.Say = fail, say
		if r := recover(); r != nil {
			if r != any(errKilled) {
				panic(r)
			}
			reached = true
			if m.endpoint == "" {
				m.startKubelet() // systemd does, whoever is killed
			}
		}
	}()
	count := func() {
		if n--; n == 0 {
			panic(errKilled)
		}
	}
	m.fail = func(string) error { count(); return nil }
	m.Say = func(string, ...any) { count() }
	work()
	return false
}

func TestFilesThatOthersChangedKeepTheirChanges(t *testing.T) {
	for name, endpoint := range map[string]string{"set before": "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n", "default before": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, kubeadm("", bareConfig+endpoint))
				require.NoError(t, m.install())
				m.put("/var/lib/kubelet/config.yaml", m.get("/var/lib/kubelet/config.yaml")+"maxPods: 50 # since yesterday\n")

				_, err := m.Uninstall(context.Background())
				require.NoError(t, err)
				require.Equal(t, bareConfig+endpoint+"maxPods: 50 # since yesterday\n", m.get("/var/lib/kubelet/config.yaml"))
				require.Contains(t, m.said, "/var/lib/kubelet/config.yaml was changed since the install; only the endpoint is put back")
				require.Equal(t, containerdSocket, m.endpoint)
				require.NoFileExists(t, filepath.Join(m.root, "/var/lib/kubelet/config.yaml"+backupSuffix))
			})
		})
	}
}

func TestFileThatKubeadmWroteAgainIsSwitchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		require.NoError(t, m.install())
		upgraded := strings.ReplaceAll(kubeadmFlags, "3.9", "3.10")
		m.put("/var/lib/kubelet/kubeadm-flags.env", upgraded)
		m.startKubelet()
		require.Equal(t, "/var"+containerdSocket, m.endpoint)

		require.NoError(t, m.install())
		require.Equal(t, DefaultListen, m.endpoint)
		_, err := m.Uninstall(context.Background())
		require.NoError(t, err)
		require.Equal(t, upgraded, m.get("/var/lib/kubelet/kubeadm-flags.env"))
		require.NoFileExists(t, filepath.Join(m.root, DefaultConfig))
	})
}

func TestUninstallDoesNotOverwriteWhatIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		require.NoError(t, m.install())
		m.put("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"--v=5\"\n")
		m.put(DefaultConfig, "runtime: /run/containerd/containerd.sock\nlog: {level: debug}\n")

		_, err := m.Uninstall(context.Background())
		require.NoError(t, err)
		require.Equal(t, "KUBELET_KUBEADM_ARGS=\"--v=5\"\n", m.get("/var/lib/kubelet/kubeadm-flags.env"))
		require.Contains(t, m.get(DefaultConfig), "debug", "an operator's work is kept")
		require.Contains(t, strings.Join(m.said, "\n"), "does not name portcullisd any more; it is left")
	})
}

func TestLostBackupDoesNotKeepTheKubeletOnPortcullis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		require.NoError(t, m.install())
		require.NoError(t, os.Remove(filepath.Join(m.root, "/var/lib/kubelet/kubeadm-flags.env"+backupSuffix)))

		_, err := m.Uninstall(context.Background())
		require.NoError(t, err)
		require.Equal(t, kubeadmFlags, m.get("/var/lib/kubelet/kubeadm-flags.env"))
	})
}

func TestUninstallOfASickNodeCanBeCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
		before := m.snapshot()
		require.NoError(t, m.install())
		m.fail = func(step string) error {
			if step == "healthz /var"+containerdSocket {
				return errors.New("not well")
			}
			return nil
		}
		_, err := m.Uninstall(context.Background())
		require.ErrorContains(t, err, "not well")
		require.True(t, m.active[serviceUnit], "portcullisd goes on until the kubelet is well without it")

		m.fail = func(string) error { return nil }
		_, err = m.Uninstall(context.Background())
		require.NoError(t, err)
		requireAsBefore(t, m, before)
	})
}

func TestConfigurationThatIsALinkStaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contents := kubeadm("", bareConfig)
		delete(contents, "/var/lib/kubelet/config.yaml")
		contents["/etc/kubernetes/kubelet.yaml"] = bareConfig
		m := newMachine(t, contents)
		link := filepath.Join(m.root, "/var/lib/kubelet/config.yaml")
		require.NoError(t, os.Symlink("../../../etc/kubernetes/kubelet.yaml", link))
		m.startKubelet()

		require.NoError(t, m.install())
		require.Contains(t, m.get("/etc/kubernetes/kubelet.yaml"), DefaultListen)
		_, err := os.Readlink(link)
		require.NoError(t, err)
		_, err = m.Uninstall(context.Background())
		require.NoError(t, err)
		require.Equal(t, bareConfig, m.get("/etc/kubernetes/kubelet.yaml"))
	})
}

func TestTwoRunsAtOnceAreRefused(t *testing.T) {
	m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
	unlock, err := m.lock()
	require.NoError(t, err)
	defer unlock()
	_, err = m.Uninstall(context.Background())
	require.ErrorContains(t, err, "another portcullis node install or uninstall runs")
}

func TestKubeletThatWasSentToPortcullisThroughVarRunIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := kubeadm(strings.Replace(kubeadmFlags, "containerd/containerd.sock", "portcullis/portcullis.sock", 1), bareConfig)
		m := newMachine(t, with(files, DefaultConfig, "runtime: "+containerdSocket+"\n"))
		p, err := m.Prepare(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, containerdSocket, p.Socket)
		for _, c := range p.Changes {
			require.Nil(t, c.edit, c.Path)
		}
	})
}

func TestFoldersOfTheConfigurationCanBeWrittenByTheService(t *testing.T) {
	const dropIn = "/etc/systemd/system/portcullisd.service.d/10-folders.conf"
	after := func(t *testing.T, config string) string {
		m := newMachine(t, with(kubeadm(kubeadmFlags, bareConfig), DefaultConfig, "runtime: "+containerdSocket+"\n"+config))
		p, err := m.Prepare(t.Context(), "")
		require.NoError(t, err)
		for _, c := range p.Changes {
			if c.Path == dropIn {
				return string(c.After)
			}
		}
		return ""
	}
	synctest.Test(t, func(t *testing.T) {
		require.Empty(t, after(t, "state: /var/lib/portcullis/other\npolicies: /srv/policies\n"))
		require.Equal(t, "[Service]\nReadWritePaths=\"-/srv/100%%/state\"\nReadWritePaths=\"-/srv/policies\"\n",
			after(t, "state: /srv/100%/state\npolicies: /srv/policies\ncentral: {address: \"https://central.example.com:8443\"}\n"))
	})
}
