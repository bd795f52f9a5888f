package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestRuntimeMayBeReplacedByAnotherVersion(t *testing.T) {
	needLab(t)
	t.Parallel()
	flavours := lab.Containerds()
	before, err := lab.StartContainerd("replaced", flavours[0], world.sandbox)
	require.NoError(t, err)
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			require.NoError(t, before.Stop())
		}
	})
	after := world.containerds[len(world.containerds)-1]
	link := filepath.Join(t.TempDir(), "runtime.sock")
	require.NoError(t, os.Symlink(before.Socket, link))
	runs := *after
	runs.Socket = link
	n := newNode(t, &runs, noCriticals, lab.PortcullisdOptions{})
	version := func() string {
		answer, err := n.cri.Runtime.Version(n.ctx, &runtime.VersionRequest{})
		if err != nil {
			return err.Error()
		}
		return answer.GetRuntimeVersion()
	}
	old := version()

	require.NoError(t, before.Stop())
	stopped = true
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(after.Socket, link))

	want, err := n.direct.Runtime.Version(n.ctx, &runtime.VersionRequest{})
	require.NoError(t, err)
	require.NotEqual(t, old, want.GetRuntimeVersion())
	require.Eventually(t, func() bool { return version() == want.GetRuntimeVersion() }, patience, patience/1000)
	id, _ := n.image("clean")
	n.runs(n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id})
	risky, _ := n.image("risky")
	n.scannedRisky(risky)
	_, err = n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "risky"}), lab.Container{Name: "web", Image: risky})
	n.refused(err)
}
