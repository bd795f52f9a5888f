package pods

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/e2e/lab"
)

// TestInstallUnderSystemd is what a platform engineer does: a real systemd runs the kubelet, the programs are in
// /usr/local/bin, and nothing else of Portcullis is on the machine.
func TestInstallUnderSystemd(t *testing.T) {
	n, _ := newRuntime(t)
	s, err := lab.StartSystemdForKubelet(n.kubelet, n.containerd.Socket)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := s.Systemctl("status", "--lines=50", "kubelet.service", "portcullisd.socket", "portcullisd.service")
			t.Logf("%s\nsystemd:\n%s", status, s.Log())
		}
		require.NoError(t, s.Kill())
	})
	run := func(arguments ...string) string {
		output, err := s.Run("/usr/local/bin/portcullis", append([]string{"node"}, arguments...)...)
		require.NoError(t, err)
		return output
	}
	n.run(newPod("before", container("main", n.image("before", "pause"))))
	before := n.awaitReady("before").Status.ContainerStatuses[0]
	found := n.files(s)

	// In: units are started and enabled, the kubelet restarted, and refusals reach the pod.
	require.Contains(t, run("install", "--yes"), "Portcullis is in force on this node.")
	require.Equal(t, "enabled\nenabled", n.ctl(s, "is-enabled", "portcullisd.socket", "portcullisd.service"))
	require.NoError(t, os.WriteFile("/etc/portcullis/policies/privileges.yaml", []byte(noPrivilege), 0o600))
	n.ctl(s, "reload", "portcullisd.service")
	image := n.image("privileged", "pause")
	n.run(newPod("privileged", privileged(container("main", image))))
	n.awaitStates("privileged", waitsPrivileged("main", image))
	require.NoError(t, n.kubelet.Remove("privileged"))
	var seen struct {
		InForce bool
		Kubelet struct{ Connected bool }
	}
	require.NoError(t, json.Unmarshal([]byte(run("status", "-o", "json")), &seen))
	require.True(t, seen.InForce)
	require.True(t, seen.Kubelet.Connected)
	examined := run("doctor")
	require.NotContains(t, examined, "fail")
	require.Contains(t, examined, "ok    kubelet's way: through portcullisd")
	require.Contains(t, examined, "ok    past Portcullis: nobody but portcullisd")

	// The kubelet and the daemon may be restarted, and the machine's break-glass works.
	n.ctl(s, "restart", "kubelet.service", "portcullisd.service")
	n.awaitReady("before")
	n.ctl(s, "start", "portcullis-bypass.service")
	n.run(newPod("bypassed", privileged(container("main", image))))
	n.awaitReady("bypassed")
	require.NoError(t, n.kubelet.Remove("bypassed"))
	n.ctl(s, "start", "portcullisd.service")

	// Out again, to the byte.
	require.NoError(t, os.Remove("/etc/portcullis/policies/privileges.yaml"))
	require.Contains(t, run("uninstall", "--yes"), "Portcullis is out of this node.")
	require.Equal(t, found, n.files(s))
	n.run(newPod("after", container("main", image)))
	n.awaitReady("after")
	after := n.awaitReady("before").Status.ContainerStatuses[0]
	require.Equal(t, before.ContainerID, after.ContainerID, "it has not noticed anything")
}

func (n *node) ctl(s *lab.Systemd, arguments ...string) string {
	output, err := s.Systemctl(arguments...)
	require.NoError(n.t, err)
	return output
}

// files are what install may change: the kubelet's configuration, units, and Portcullis' own configuration.
func (n *node) files(s *lab.Systemd) map[string]string {
	found := map[string]string{}
	for _, start := range []string{n.kubelet.Config(), s.Units(), "/etc/portcullis"} {
		err := filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			found[path] = string(text)
			return err
		})
		if !errors.Is(err, fs.ErrNotExist) {
			require.NoError(n.t, err)
		}
	}
	return found
}
