package nodeinstall

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"portcullis/internal/unixpeers"
)

type peers = []unixpeers.Process

func TestNodesThatAreNotTouched(t *testing.T) {
	good := kubeadm(kubeadmFlags, bareConfig)
	tests := map[string]struct {
		files map[string]string
		spoil func(*machine)
		says  string
	}{
		"k3s":                         {with(good, "/etc/systemd/system/k3s-agent.service", "x"), nil, "this is a node of k3s, which runs the kubelet and its runtime itself"},
		"RKE2":                        {with(good, "/usr/local/lib/systemd/system/rke2-agent.service", "x"), nil, "a node of RKE2"},
		"MicroK8s":                    {with(good, "/var/snap/microk8s/current/args/kubelet", "x"), nil, "--container-runtime-endpoint=unix:///run/portcullis/portcullis.sock in /var/snap/microk8s"},
		"no kubelet at all":           {map[string]string{"/etc/hostname": "x"}, (*machine).stopKubelet, "no kubelet runs on this node, and there is no unit kubelet.service"},
		"a kubelet that does not run": {good, (*machine).stopKubelet, "the kubelet does not run;\n  start it and wait until it is healthy"},
		"a kubelet that is not healthy": {good, func(m *machine) {
			m.fail = func(step string) error { return failing(step, "healthz") }
		}, "the kubelet is not healthy as it is: broken"},
		"a runtime that does not answer": {good, func(m *machine) {
			m.fail = func(step string) error { return failing(step, "version") }
		}, "no container runtime answers at /var/run/containerd/containerd.sock, where the kubelet looks for it: broken"},
		"a script that starts the kubelet": {map[string]string{
			"/etc/systemd/system/kubelet.service": "[Service]\nExecStart=/opt/start.sh\n",
			"/var/lib/kubelet/config.yaml":        bareConfig,
		}, func(m *machine) {
			m.put("/proc/101/cmdline", "/usr/bin/kubelet\x00--config=/var/lib/kubelet/config.yaml\x00--container-runtime-endpoint=unix:///run/containerd/containerd.sock\x00")
		}, "no file of its unit says so;\n  change the flag where the kubelet is started, such as a script"},
		"a flag that goes over two lines": {map[string]string{
			"/etc/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml --container-runtime-endpoint \\\n unix:///run/containerd/containerd.sock\n",
			"/var/lib/kubelet/config.yaml":        bareConfig,
			"/usr/local/bin/portcullisd":          "program",
		}, nil, "in a form that is not edited by program;\n  set it to unix:///run/portcullis/portcullis.sock by hand"},
		"a configuration with an anchor":                     {kubeadm("", "kind: &a KubeletConfiguration\nother: *a\n"), nil, "anchors and aliases are not supported"},
		"neither configuration nor flag":                     {map[string]string{"/etc/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\n"}, nil, "neither --config nor --container-runtime-endpoint"},
		"no portcullisd":                                     {without(good, "/usr/local/bin/portcullisd"), nil, "portcullisd.service starts /usr/local/bin/portcullisd, which is not there;\n  install it first"},
		"a configuration of portcullisd with a mistake":      {with(good, DefaultConfig, "runtime: /run/containerd/containerd.sock\nlisten: nowhere\n"), nil, "portcullisd would not start"},
		"a configuration of portcullisd for another runtime": {with(good, DefaultConfig, "runtime: /run/crio/crio.sock\n"), nil, "says runtime: /run/crio/crio.sock"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, test.files)
				if test.spoil != nil {
					test.spoil(m)
				}
				before := m.snapshot()
				_, err := m.Prepare(context.Background(), "")
				var refusal *Refusal
				require.ErrorAs(t, err, &refusal)
				require.ErrorContains(t, err, test.says)
				require.Equal(t, before, m.snapshot(), "nothing was changed")
				require.Empty(t, m.done)
			})
		})
	}
}

func failing(step, prefix string) error {
	if strings.HasPrefix(step, prefix) {
		return errors.New("broken")
	}
	return nil
}

func without(files map[string]string, path string) map[string]string {
	files = with(files, path, "")
	delete(files, path)
	return files
}

func TestCRIOKeepsTheEndOfItsSocketsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, kubeadm(strings.ReplaceAll(kubeadmFlags, "containerd/containerd.sock", "crio/crio.sock"), bareConfig))
		m.runtimes = map[string]Runtime{"/var/run/crio/crio.sock": {"cri-o", "1.34.0"}}
		require.NoError(t, m.install())
		require.Equal(t, "/run/portcullis/run/crio/crio.sock", m.endpoint)
		require.Contains(t, m.get(DefaultConfig), "listen: /run/portcullis/run/crio/crio.sock\n")
		require.Equal(t, "[Socket]\nListenStream=\nListenStream=/run/portcullis/run/crio/crio.sock\n", m.get("/etc/systemd/system/portcullisd.socket.d/10-listen.conf"))
	})
}

func TestProcessInAContainerThatCallsItselfKubeletIsNotOne(t *testing.T) {
	m := newMachine(t, kubeadm(kubeadmFlags, bareConfig))
	m.put("/proc/999/comm", "kubelet\n")
	m.put("/proc/999/cmdline", "kubelet\x00--config=/evil\x00")
	for pid, namespace := range map[string]string{"self": "mnt:[1]", "101": "mnt:[1]", "999": "mnt:[2]"} {
		folder := filepath.Join(m.root, "proc", pid, "ns")
		require.NoError(t, os.MkdirAll(folder, 0o755))
		require.NoError(t, os.Symlink(namespace, filepath.Join(folder, "mnt")))
	}
	p, err := m.Prepare(context.Background(), "")
	require.NoError(t, err)
	require.Equal(t, 101, p.Kubelet.PID)
}

func TestUnitsOfAPackageAreLeftToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contents := kubeadm(kubeadmFlags, bareConfig)
		for name, unit := range units {
			contents["/usr/lib/systemd/system/"+strings.Replace(name, "10-portcullis", "00-nothing", 1)] = string(unit.Data)
		}
		m := newMachine(t, contents)
		require.NoError(t, m.install())
		require.NoFileExists(t, filepath.Join(m.root, ownUnits, serviceUnit))
	})
}
