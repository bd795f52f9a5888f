package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

// bypassMessage is the MESSAGE_ID of what the break-glass tells the journal.
const bypassMessage = "8f0d6f2f4c1e4f0b9a5a0c54e1d7b3a9"

// TestUnitsUnderSystemd goes through the life of a node whose daemon a real systemd runs, by the units that
// are installed.
func TestUnitsUnderSystemd(t *testing.T) {
	needLab(t)
	t.Parallel()
	n, s := systemdNode(t)
	ctl := func(arguments ...string) string {
		output, err := s.Systemctl(arguments...)
		require.NoError(t, err)
		return output
	}
	clean, _ := n.image("clean")
	risky, _ := n.image("risky")
	n.scanned(risky, log4shell)

	// 1. The socket is all that the kubelet needs: its first call starts the daemon.
	ctl("start", "portcullisd.socket")
	n.cri = n.dial(n.Socket)
	require.Equal(t, "inactive", n.state(s, "portcullisd.service"))
	_, err := n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
	require.NoError(t, err)
	require.Equal(t, "active", n.state(s, "portcullisd.service"))

	// 2. Shut in as it is, it does its work.
	pod := n.pod(lab.Pod{Name: "guarded"})
	n.runs(pod, lab.Container{Name: "clean", Image: clean})
	require.Eventually(t, func() bool {
		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "risky", Image: risky})
		return err != nil && n.refused(err) != ""
	}, patience, 20*time.Millisecond)
	require.Contains(t, ctl("status", "portcullisd.service"), "1 policies in force")

	// 3. Restarts lose nothing, and reloading is one step.
	n.underLoad(5, func() { ctl("restart", "portcullisd.service") })
	ctl("reload", "portcullisd.service")

	// 4. Break-glass: nothing is checked, calls do not bring the daemon back, and the journal is told.
	ctl("start", "portcullis-bypass.service")
	n.eventuallyRuns(pod, lab.Container{Name: "unchecked", Image: risky})
	require.Equal(t, "inactive", n.state(s, "portcullisd.service"))
	require.Equal(t, "active", n.state(s, "portcullis-bypass.service"))
	told, err := world.journal.Entries("MESSAGE_ID=" + bypassMessage)
	require.NoError(t, err)
	require.Len(t, told, 1)
	require.Equal(t, "2", told[0]["PRIORITY"])
	require.Contains(t, told[0]["MESSAGE"], "PORTCULLIS IS BYPASSED")

	// 5. And back.
	ctl("start", "portcullisd.service")
	require.Equal(t, "inactive", n.state(s, "portcullis-bypass.service"))
	require.Eventually(t, func() bool {
		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "again", Image: risky})
		return err != nil && n.refused(err) != ""
	}, patience, 20*time.Millisecond)

	// 6. A daemon that is killed, or that hangs, is replaced.
	ctl("kill", "--signal=SIGKILL", "portcullisd.service")
	n.eventuallyRuns(pod, lab.Container{Name: "killed", Image: clean})
	require.NoError(t, s.AddDropIn("portcullisd.service", "[Service]\nWatchdogSec=3s\n"))
	ctl("restart", "portcullisd.service")
	before := ctl("show", "--property=MainPID", "--value", "portcullisd.service")
	ctl("kill", "--signal=SIGSTOP", "portcullisd.service")
	require.Eventually(t, func() bool {
		return ctl("show", "--property=MainPID", "--value", "portcullisd.service") != before && n.state(s, "portcullisd.service") == "active"
	}, patience, 100*time.Millisecond)
	n.eventuallyRuns(pod, lab.Container{Name: "hung", Image: clean})
}

// systemds is held by the test that has the lab's systemd.
var systemds sync.Mutex

// systemdNode is a node on which systemd is to start the daemon.
func systemdNode(t *testing.T) (*node, *lab.Systemd) {
	containerd := world.containerds[len(world.containerds)-1]
	return systemdNodeBefore(t, containerd, containerd.Socket)
}

// systemdNodeBefore is one whose daemon reaches containerd by another socket.
func systemdNodeBefore(t *testing.T, containerd *lab.Containerd, runtimeSocket string) (*node, *lab.Systemd) {
	systemds.Lock()
	t.Cleanup(systemds.Unlock)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	daemon, err := lab.NewPortcullisd(fmt.Sprintf("node-%d", nodes.Add(1)), runtimeSocket, lab.PortcullisdOptions{})
	require.NoError(t, err)
	n := &node{Portcullisd: daemon, t: t, ctx: ctx, containerd: containerd}
	n.direct = n.dial(containerd.Socket)
	n.cri = n.direct // until there is a socket
	n.setPolicies(noCriticals)
	s, err := lab.StartSystemd(daemon)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := s.Systemctl("status", "portcullisd.socket", "portcullisd.service", "portcullis-bypass.service")
			t.Logf("%s\nsystemd:\n%s", status, s.Log())
		}
		require.NoError(t, s.Kill())
	})
	return n, s
}

func (n *node) state(s *lab.Systemd, unit string) string {
	state, err := s.Systemctl("show", "--property=ActiveState", "--value", unit)
	require.NoError(n.t, err)
	return state
}

// eventuallyRuns expects that a container runs, perhaps after some calls that were cut off.
func (n *node) eventuallyRuns(pod *lab.Sandbox, container lab.Container) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		_, err := n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
		return err == nil
	}, patience, 20*time.Millisecond)
	n.runs(pod, container)
}
