package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/e2e/lab"
)

// The kernel, and so runc, follows the link first: link/.. is the parent of the link's target.
func TestDotsBehindALinkDoNotHideASocket(t *testing.T) {
	onEachRuntime(t, noSockets, func(n *node) {
		id, _ := n.image("tool")
		directory, socket := filepath.Split(n.containerd.Socket)
		link := filepath.Join(n.t.TempDir(), "link")
		require.NoError(n.t, os.Symlink(filepath.Join(directory, "root"), link))

		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, HostPath: link + "/../" + socket})

		require.Contains(n.t, n.refused(err), "runtime-socket")
	})
}

// Whoever can write to a directory of the node can exchange what a path goes through after it was looked
// at: for a link, which the runtime follows only when it starts the container.
func TestDirectoryThatIsExchangedForALinkAfterCreationDoesNotHideASocket(t *testing.T) {
	onEachRuntime(t, noSockets, func(n *node) {
		id, _ := n.image("tool")
		directory, socket := filepath.Split(n.containerd.Socket)
		data := filepath.Join(n.t.TempDir(), "data")
		require.NoError(n.t, os.Mkdir(data, 0o700))
		require.NoError(n.t, os.WriteFile(filepath.Join(data, socket), nil, 0o600))
		created := n.create(n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, HostPath: filepath.Join(data, socket)})

		require.NoError(n.t, os.Rename(data, data+".away"))
		require.NoError(n.t, os.Symlink(directory, data))

		require.Contains(n.t, n.refused(n.cri.Start(n.ctx, created)), "runtime-socket")
	})
}

// A link that may be exchanged is not trusted, wherever it leads at the moment.
func TestLinkThatMayBeExchangedIsNotTrusted(t *testing.T) {
	onEachRuntime(t, noSockets, func(n *node) {
		id, _ := n.image("tool")
		folder := n.t.TempDir()
		require.NoError(n.t, os.Mkdir(filepath.Join(folder, "harmless"), 0o700))
		link := filepath.Join(folder, "link")
		require.NoError(n.t, os.Symlink("harmless", link))

		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, HostPath: link})

		require.Contains(n.t, n.refused(err), "which may be exchanged")
	})
}

func TestSecondSocketOfTheRuntimeIsNotMounted(t *testing.T) {
	onEachRuntime(t, noSockets, func(n *node) {
		id, _ := n.image("tool")
		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, HostPath: n.containerd.Socket + ".ttrpc"})
		require.Contains(n.t, n.refused(err), "runtime-socket")
	})
}
