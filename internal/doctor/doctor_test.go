package doctor

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/internal/daemonclient"
	"portcullis/internal/nodeinstall"
	"portcullis/internal/unixpeers"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	listen  = "/run/portcullis/portcullis.sock"
	runtime = "/run/containerd/containerd.sock"
)

// healthy is a node where all is well.
func healthy() *Facts {
	containerd := nodeinstall.Runtime{Name: "containerd", Version: "v2.4.2"}
	daemon := []unixpeers.Process{{PID: 20, Command: "portcullisd", OwnMounts: true}}
	return &Facts{
		Now: now, Version: "v1", ConfigPath: "/etc/portcullis/portcullisd.yaml",
		Install: &nodeinstall.State{Phase: nodeinstall.Installed, At: now.Add(-time.Hour)},
		Daemon:  &daemonclient.Daemon{Version: "v1", Ready: true, RuntimeConnected: true, Revision: "abc", Policies: 2},
		Kubelet: &nodeinstall.Kubelet{PID: 10, Unit: "kubelet.service", Endpoint: "unix://" + listen, From: "containerRuntimeEndpoint in /var/lib/kubelet/config.yaml"},
		Listen: Socket{
			Path: listen, Mode: 0o600, FolderMode: 0o700, Runtime: containerd,
			Clients: []unixpeers.Process{{PID: 10, Command: "kubelet"}}, Servers: daemon,
		},
		Runtime: Socket{
			Path: runtime, Mode: 0o660, FolderMode: 0o711, Runtime: containerd,
			Clients: daemon, Servers: []unixpeers.Process{{PID: 5, Command: "containerd"}},
		},
		KubeletVersion: "v1.37.2",
		Folders:        []Folder{{Path: "/etc/portcullis/policies", What: "policies", Mode: 0o700}},
		Policies:       Policies{Path: "/etc/portcullis/policies", Revision: "abc", Count: 2, Newest: now.Add(-72 * time.Hour)},
		Reports:        &Reports{Folders: []string{"/var/lib/portcullis/reports"}, Count: 7, Newest: now.Add(-time.Hour)},
	}
}

func TestHealthyNodeHasNothingToDo(t *testing.T) {
	checks := Examine(healthy())
	for _, c := range checks {
		require.Equal(t, OK, c.Level, "%+v", c)
		require.Empty(t, c.Do, "%+v", c)
	}
	require.Equal(t, OK, Worst(checks))
	require.GreaterOrEqual(t, len(checks), 14)
	require.True(t, Summarize(healthy()).InForce)
}

func TestEndpointThroughVarRunGoesToPortcullisToo(t *testing.T) {
	f := healthy()
	f.Kubelet.Endpoint = "unix:///var" + listen
	require.Equal(t, OK, Worst(Examine(f)))
	require.True(t, Summarize(f).InForce)
}

func TestWhatIsWrongIsSaidTogetherWithWhatToDo(t *testing.T) {
	tests := map[string]struct {
		spoil      func(*Facts)
		name       string
		level      Level
		says, does string
		notInForce string // what status says; "" where Portcullis is in force all the same
	}{
		"an install that was cut short": {
			func(f *Facts) { f.Install.Phase = nodeinstall.Switching },
			"install", Fail, "cut short 60 minutes ago while switching", "finish it with portcullis node install", "",
		},
		"a state file that is damaged": {
			func(f *Facts) { f.InstallProblem = &nodeinstall.Refusal{Why: "not readable", Do: "by hand"} },
			"install", Fail, "not readable", "by hand", "",
		},
		"a configuration with a mistake": {
			func(f *Facts) { f.ConfigProblem = "f.yaml:2: listen: is wrong" },
			"configuration", Fail, "f.yaml:2", "portcullisd --check", "f.yaml:2: listen: is wrong",
		},
		"a daemon that does not run": {
			func(f *Facts) {
				f.Daemon, f.DaemonProblem, f.Listen.Silent = nil, "connection refused", "connection refused"
			},
			"portcullisd", Fail, "does not answer: connection refused", "systemctl start portcullisd.socket", "portcullisd does not answer",
		},
		"a bypass that was forgotten": {
			func(f *Facts) {
				f.Daemon, f.DaemonProblem = nil, "connection refused"
				f.Listen.Servers = []unixpeers.Process{{PID: 20, Command: "portcullis-bypa", OwnMounts: true}}
			},
			"portcullisd", Fail, "is bypassed: containers start unchecked", "systemctl start portcullisd", "portcullisd is bypassed: containers start unchecked",
		},
		"a daemon that is not ready": {
			func(f *Facts) { f.Daemon.Ready, f.Daemon.Missing = false, []string{"no policies in force"} },
			"portcullisd", Fail, "not ready: no policies in force", "journalctl", "portcullisd is not ready: no policies in force",
		},
		"a daemon of another version": {
			func(f *Facts) { f.Daemon.Version = "v0" },
			"portcullisd", Warn, "v0 runs and is ready; this program is v1", "restart portcullisd", "",
		},
		"a daemon without metrics": {
			func(f *Facts) { f.Daemon = nil },
			"portcullisd", Warn, "it serves no metrics", "set metrics.address", "",
		},
		"a daemon that hangs": {
			func(f *Facts) {
				f.Daemon, f.DaemonProblem, f.Listen.Silent, f.LockHolder = nil, "timeout", "timeout", 20
			},
			"lock", Fail, "pid 20 holds /run/portcullis/portcullis.sock.lock", "kill 20", "portcullisd does not answer",
		},
		"no kubelet": {
			func(f *Facts) { f.Kubelet, f.KubeletProblem = nil, errors.New("no kubelet") },
			"kubelet", Fail, "no kubelet", "", "no kubelet",
		},
		"a kubelet that does not run": {
			func(f *Facts) { f.Kubelet.PID = 0 },
			"kubelet", Fail, "does not run", "journalctl -u kubelet.service", "the kubelet does not run",
		},
		"a kubelet that is not well": {
			func(f *Facts) { f.KubeletSick = "syncloop failed" },
			"kubelet", Fail, "syncloop failed", "journalctl", "",
		},
		"a file that kubeadm wrote again": {
			func(f *Facts) { f.Kubelet.Endpoint = "unix://" + runtime },
			"kubelet's way", Fail, "nothing is judged", "may have written the file again", "the kubelet goes to unix:///run/containerd/containerd.sock",
		},
		"a kubelet that was not restarted": {
			func(f *Facts) { f.Listen.Clients = nil },
			"kubelet's way", Fail, "it is not connected there", "systemctl restart kubelet.service", "the kubelet is not connected to portcullisd",
		},
		"a kubelet that talks past us": {
			func(f *Facts) {
				f.Runtime.Clients = append(f.Runtime.Clients, unixpeers.Process{PID: 10, Command: "kubelet"})
			},
			"past Portcullis", Fail, "the kubelet (pid 10) talks to /run/containerd/containerd.sock directly", "restart the kubelet", "",
		},
		"a tool on the node": {
			func(f *Facts) {
				f.Runtime.Clients = append(f.Runtime.Clients, unixpeers.Process{PID: 66, Command: "nerdctl"})
			},
			"past Portcullis", Warn, `"nerdctl" (pid 66) talks to /run/containerd/containerd.sock directly`, "is not judged", "",
		},
		"a pod with the socket": {
			func(f *Facts) {
				f.Runtime.Clients = append(f.Runtime.Clients, unixpeers.Process{PID: 67, Command: `portcullisd`, OwnMounts: true})
			},
			"past Portcullis", Warn, `"portcullisd" (pid 67), in a container or shut in`, "/proc/67/cgroup", "",
		},
		"a kernel that does not tell": {
			func(f *Facts) { f.Runtime.ClientsProblem, f.Listen.ClientsProblem = "no", "no" },
			"past Portcullis", Warn, "is not to be seen", "", "",
		},
		"a runtime that is away": {
			func(f *Facts) { f.Runtime.Silent = "connection refused" },
			"runtime", Fail, "does not answer CRI v1", "start the runtime", "",
		},
		"another runtime behind us": {
			func(f *Facts) { f.Listen.Runtime.Version = "v1.7.0" },
			"runtime", Fail, "containerd v2.4.2 answers at /run/containerd/containerd.sock, and containerd v1.7.0 through portcullisd", "restart portcullisd", "",
		},
		"an old containerd": {
			func(f *Facts) { f.Runtime.Runtime.Version, f.Listen.Runtime.Version = "1.4.13~ds1", "1.4.13~ds1" },
			"runtime version", Warn, "1.6", "upgrade", "",
		},
		"an old kubelet": {
			func(f *Facts) { f.KubeletVersion = "v1.19.0" },
			"kubelet version", Warn, "does not know CRI v1", "upgrade", "",
		},
		"our socket open to others": {
			func(f *Facts) { f.Listen.Mode = 0o666 },
			"our socket", Fail, "has mode 0666", "chmod 0600", "",
		},
		"our socket in a folder of others": {
			func(f *Facts) { f.Listen.FolderMode = 0o777 },
			"our socket", Fail, "could put a socket of theirs there", "chmod 0700", "",
		},
		"the runtime's socket open to all": {
			func(f *Facts) { f.Runtime.Mode = 0o666 },
			"runtime's socket", Fail, "past Portcullis", "chmod 0660", "",
		},
		"the runtime's socket open to a group": {
			func(f *Facts) { f.Runtime.GID = 998 },
			"runtime's socket", Warn, "group 998", "keep its members few", "",
		},
		"policies that others can write": {
			func(f *Facts) { f.Folders[0].Mode = 0o777 },
			"folders", Fail, "/etc/portcullis/policies (policies) has mode 0777", "chmod go-w", "",
		},
		"policies with a mistake": {
			func(f *Facts) { f.Policies.Problem = "p.yaml:3: spec: wrong" },
			"policies", Fail, "p.yaml:3", "portcullis policy check /etc/portcullis/policies", "",
		},
		"policies that are not in force": {
			func(f *Facts) { f.Policies.Revision = "def" },
			"policies", Fail, "revision def is on disk, abc is in force", "systemctl reload portcullisd", "",
		},
		"no policies": {
			func(f *Facts) { f.Policies.Count = 0 },
			"policies", Warn, "every container may start", "write some", "",
		},
		"expired exemptions": {
			func(f *Facts) { f.Daemon.ExpiredExemptions = 3 },
			"exemptions", Warn, "3 have expired", "portcullis policy status", "",
		},
		"no reports": {
			func(f *Facts) { f.Reports.Count = 0 },
			"reports", Warn, "every image counts as unscanned", "portcullis scan", "",
		},
		"a scanner that has stopped": {
			func(f *Facts) { f.Reports.Newest = now.Add(-30 * 24 * time.Hour) },
			"reports", Warn, "the newest of 7 came 30 days ago", "does your scanner still send them", "",
		},
		"broken reports": {
			func(f *Facts) { f.Daemon.BrokenReports = 2 },
			"reports", Warn, "2 cannot be read", "journalctl", "",
		},
		"lost events": {
			func(f *Facts) { f.Daemon.EventsLost = 1 },
			"events", Warn, "no event could be kept", "journalctl", "",
		},
		"a clock that began anew": {
			func(f *Facts) { f.Now = time.Unix(0, 0) },
			"clock", Fail, "1970-01-01", "chrony", "",
		},
		"a clock of its own": {
			func(f *Facts) { f.ClockUnsynchronised = true },
			"clock", Warn, "not synchronised", "chrony", "",
		},
		"no journal": {
			func(f *Facts) { f.JournalProblem = "connection refused" },
			"journal", Warn, "does not take events", "systemd-journald", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			facts := healthy()
			test.spoil(facts)
			found := find(Examine(facts), test.name, test.level)
			require.NotNil(t, found, "%+v", Examine(facts))
			require.Contains(t, found.Says, test.says)
			require.Contains(t, found.Do, test.does)
			require.Equal(t, test.notInForce, Summarize(facts).Why)
		})
	}
}

func find(checks []Check, name string, level Level) *Check {
	for _, c := range checks {
		if c.Name == name && c.Level == level {
			return &c
		}
	}
	return nil
}

func TestStatusTellsWhoPutPortcullisThere(t *testing.T) {
	facts := healthy()
	require.Equal(t, "installed", Summarize(facts).Installed)
	facts.Install = nil
	require.Equal(t, "by hand", Summarize(facts).Installed)
	facts.Kubelet.Endpoint = fmt.Sprint("unix://", runtime)
	require.Equal(t, "no", Summarize(facts).Installed)
}
