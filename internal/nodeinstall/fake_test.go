package nodeinstall

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/internal/unixpeers"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	kubeadmDropIn    = `# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# This is a file that "kubeadm init" and "kubeadm join" generates at runtime, populating the KUBELET_KUBEADM_ARGS variable dynamically
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`
	vendorUnit = "[Unit]\nDescription=kubelet\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n"
	bareConfig = "# written by hand\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration   # as it should be\nclusterDNS:\n- 10.96.0.10\n"
)

// units are in the place of those that are embedded.
var units = fstest.MapFS{
	socketUnit:                             {Data: []byte("[Socket]\nListenStream=" + DefaultListen + "\n")},
	serviceUnit:                            {Data: []byte("[Service]\nExecStart=/usr/local/bin/portcullisd --config /etc/portcullis/portcullisd.yaml\n")},
	bypassUnit:                             {Data: []byte("[Service]\nExecStart=/usr/local/bin/portcullis-bypass\n")},
	"kubelet.service.d/10-portcullis.conf": {Data: []byte("[Unit]\nWants=portcullisd.socket\n")},
}

// kubeadm are the files of a node that kubeadm made, with the endpoint in its flags or its configuration.
func kubeadm(kubeadmFlags, config string) map[string]string {
	return map[string]string{
		"/usr/lib/systemd/system/kubelet.service":                   vendorUnit,
		"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": kubeadmDropIn,
		"/var/lib/kubelet/kubeadm-flags.env":                        kubeadmFlags,
		"/var/lib/kubelet/config.yaml":                              config,
		"/usr/local/bin/portcullisd":                                "program",
	}
}

const kubeadmFlags = `KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock --pod-infra-container-image=registry.k8s.io/pause:3.9"` + "\n"

// machine is a folder that stands for a node, with what runs on it played by a script.
type machine struct {
	*Machine
	t    *testing.T
	root string
	said []string
	done []string // by Services

	pid      int
	endpoint string // that the running kubelet was started with
	active   map[string]bool
	runtimes map[string]Runtime
	// fail is asked before every step of Services and every look of Probe.
	fail func(step string) error
}

func newMachine(t *testing.T, contents map[string]string) *machine {
	m := &machine{
		t: t, root: t.TempDir(), pid: 100, active: map[string]bool{},
		runtimes: map[string]Runtime{containerdSocket: {"containerd", "2.4.2"}, "/var" + containerdSocket: {"containerd", "2.4.2"}},
		fail:     func(string) error { return nil },
	}
	m.Machine = &Machine{
		Root: m.root, Services: m, Probe: m, Units: units, Config: DefaultConfig, Version: "test", Now: time.Now,
		Say:    func(format string, arguments ...any) { m.said = append(m.said, fmt.Sprintf(format, arguments...)) },
		Timing: Timing{Daemon: 3 * time.Second, Kubelet: 10 * time.Second, Settle: 2 * time.Second, Poll: time.Second},
	}
	for path, text := range contents {
		m.put(path, text)
	}
	m.startKubelet()
	return m
}

func (m *machine) put(path, text string) {
	m.t.Helper()
	full := filepath.Join(m.root, path)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(full), 0o755))
	mode := fs.FileMode(0o640)
	if text == "program" {
		mode = 0o755
	}
	require.NoError(m.t, os.WriteFile(full, []byte(text), mode))
}

func (m *machine) get(path string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, path))
	require.NoError(m.t, err)
	return string(text)
}

// startKubelet starts the kubelet on the files as they are.
func (m *machine) startKubelet() {
	m.stopKubelet()
	m.pid++
	arguments := []string{"/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml"}
	if s := readService(files{root: m.root}, "kubelet.service"); s.runsKubelet() {
		arguments, _ = s.arguments()
	}
	folder := "/proc/" + strconv.Itoa(m.pid)
	m.put(folder+"/comm", "kubelet\n")
	m.put(folder+"/cmdline", strings.Join(arguments, "\x00")+"\x00")
	m.put(folder+"/cgroup", "0::/system.slice/kubelet.service\n")
	m.endpoint = ""
	if k, err := (search{unit: "kubelet.service", systemd: true, stale: true}).kubelet(files{root: m.root}); err == nil {
		m.endpoint = k.Socket()
	}
}

func (m *machine) stopKubelet() {
	require.NoError(m.t, os.RemoveAll(filepath.Join(m.root, "proc", strconv.Itoa(m.pid))))
	m.endpoint = ""
}

func (m *machine) step(format string, arguments ...any) error {
	step := fmt.Sprintf(format, arguments...)
	m.done = append(m.done, step)
	return m.fail(step)
}

func (m *machine) Managed() bool                { return true }
func (m *machine) Reload(context.Context) error { return m.step("reload") }

func (m *machine) Active(_ context.Context, unit string) bool { return m.active[unit] }

func (m *machine) Start(_ context.Context, units ...string) error {
	for _, unit := range units {
		if err := m.step("start %s", unit); err != nil {
			return err
		}
		m.active[unit] = true
	}
	return nil
}

func (m *machine) Stop(_ context.Context, units ...string) error {
	for _, unit := range units {
		if err := m.step("stop %s", unit); err != nil {
			return err
		}
		m.active[unit] = false
	}
	return nil
}

func (m *machine) Restart(_ context.Context, unit string) error {
	m.stopKubelet()
	if err := m.step("restart %s", unit); err != nil {
		return err
	}
	m.startKubelet()
	return nil
}

func (m *machine) Runtime(_ context.Context, socket string) (Runtime, error) {
	socket = strings.TrimPrefix(socket, m.root)
	if err := m.fail("version " + socket); err != nil {
		return Runtime{}, err
	}
	if m.active[serviceUnit] && strings.HasPrefix(socket, "/run/portcullis/") {
		for _, runtime := range m.runtimes {
			return runtime, nil
		}
	}
	if runtime, ok := m.runtimes[socket]; ok {
		return runtime, nil
	}
	return Runtime{}, errors.New("connection refused")
}

func (m *machine) Kubelet(context.Context, string) error {
	if m.endpoint == "" {
		return errors.New("connection refused")
	}
	return m.fail("healthz " + m.endpoint)
}

func (m *machine) Clients(socket string) ([]unixpeers.Process, error) {
	if m.endpoint != strings.TrimPrefix(socket, m.root) {
		return nil, nil
	}
	return []unixpeers.Process{{PID: m.pid, Command: "kubelet"}}, nil
}

// install is what the command line does.
func (m *machine) install() error {
	p, err := m.Prepare(context.Background(), "")
	if errors.Is(err, ErrUnfinished) {
		if _, err := m.Uninstall(context.Background()); err != nil {
			return err
		}
		p, err = m.Prepare(context.Background(), "")
	}
	if err != nil {
		return err
	}
	if p.Nothing() {
		return nil
	}
	return m.Install(context.Background(), p)
}

// snapshot is everything on the node but its processes: names, modes, times of change and digests.
func (m *machine) snapshot() map[string]string {
	seen := map[string]string{}
	err := filepath.WalkDir(m.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == filepath.Join(m.root, "proc") {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, m.root)
		if entry.IsDir() {
			seen[name] = info.Mode().String()
			return nil
		}
		data, err := os.ReadFile(path)
		seen[name] = fmt.Sprintf("%s %s %x", info.Mode(), info.ModTime(), sha256.Sum256(data))
		return err
	})
	require.NoError(m.t, err)
	return seen
}
