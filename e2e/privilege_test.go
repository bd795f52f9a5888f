package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"portcullis/e2e/lab"
)

var (
	noSockets     = policy("no sockets", "Immediate", "template: PrivilegedStart\n  privileges: {parameters: [runtime-socket]}")
	noHostPaths   = policy("no host paths", "Immediate", "template: PrivilegedStart\n  privileges: {parameters: [host-path]}")
	noHostNetwork = policy("no host network", "Immediate", "template: PrivilegedStart\n  privileges: {parameters: [host-network]}")
)

// onlySelected lets nothing but the selected image start with SYS_ADMIN.
func onlySelected(image string) string {
	return within("{images: {select: ['"+image+"']}}", policy("agents only", "Immediate",
		"template: PrivilegedStart\n  privileges: {parameters: [SYS_ADMIN], rule: AllowOnlySelected}"))
}

func TestOnlyTheSelectedImageStartsPrivileged(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		agent, reference := n.image("agent")
		other, _ := n.image("other")
		pod := n.pod(lab.Pod{Name: "shop"})
		admin := func(image string) lab.Container {
			return lab.Container{Name: "admin", Image: image, AddCapabilities: []string{"SYS_ADMIN"}}
		}
		for _, selected := range []string{
			reference,
			world.registry.Address + "/" + n.Node + "/ag*:v?",
			agent,
		} {
			n.setPolicies(onlySelected("registry.example.com/nothing"))
			n.eventually(pod, admin(agent), codes.PermissionDenied)
			n.setPolicies(onlySelected(selected))
			n.eventually(pod, admin(agent), codes.OK)

			_, err := n.cri.Create(n.ctx, pod, admin(other))
			require.Contains(n.t, n.refused(err), "agents only")
		}
		n.runs(pod, admin(agent))
		n.runs(pod, lab.Container{Name: "plain", Image: other})
	})
}

func TestTagHelpsOnlyWhenTheRuntimeHoldsIt(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		agent, reference := n.image("agent")
		other, _ := n.image("other")
		n.setPolicies(onlySelected(world.registry.Address + "/" + n.Node + "/agent"))
		pod := n.pod(lab.Pod{Name: "shop"})
		// The pod's author may write what he likes.
		container := lab.Container{Name: "web", Image: other, Reference: reference, AddCapabilities: []string{"SYS_ADMIN"}}
		n.eventually(pod, container, codes.PermissionDenied)

		// The same content, for the label decides on the ID.
		tag, err := world.push(n.Node+"/agent:other", n.Node+" other", "print", "hello")
		require.NoError(n.t, err)
		_, err = n.cri.Create(n.ctx, pod, container)
		n.refused(err)

		require.Equal(n.t, other, n.pull(tag))
		require.NotEqual(n.t, other, agent)
		n.runs(pod, container)
	})
}

func TestSocketOfTheRuntimeIsNotMounted(t *testing.T) {
	onEachRuntime(t, noSockets, func(n *node) {
		id, _ := n.image("tool")
		pod := n.pod(lab.Pod{Name: "shop"})
		directory, socket := filepath.Split(n.containerd.Socket)
		folder := n.t.TempDir()
		link := func(name, target string) string {
			file := filepath.Join(folder, name)
			require.NoError(n.t, os.Symlink(target, file))
			return file
		}
		detour, err := filepath.Rel(folder, n.containerd.Socket)
		require.NoError(n.t, err)

		for name, path := range map[string]string{
			"the socket":               n.containerd.Socket,
			"its directory":            directory,
			"a parent":                 "/run",
			"everything":               "/",
			"portcullisd's own socket": n.Socket,
			"another name of /run":     "/var" + n.containerd.Socket,
			"dots":                     folder + "/" + detour,
			"dots and slashes":         directory + "/.././/" + filepath.Base(directory) + "/./" + socket,
			"a link to it":             link("to-socket", n.containerd.Socket),
			"a relative link":          link("relative", detour),
			"a link to its directory":  link("to-directory", directory),
			"through a link":           link("through", directory) + "/" + socket,
			"a link to a link":         link("twice", link("once", n.containerd.Socket)),
		} {
			_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: id, HostPath: path})
			require.Contains(n.t, n.refused(err), "runtime-socket", name)
		}
		n.runs(pod, lab.Container{Name: "web", Image: id, HostPath: folder})
	})
}

func TestVolumesOfThePodAreNoHostPaths(t *testing.T) {
	onEachRuntime(t, noHostPaths, func(n *node) {
		id, _ := n.image("tool")
		pod, other := n.pod(lab.Pod{Name: "shop"}), n.pod(lab.Pod{Name: "other"})
		volume := func(pod *lab.Sandbox) string {
			folder := filepath.Join("/var/lib/kubelet/pods", pod.Config.GetMetadata().GetUid(), "volumes/kubernetes.io~empty-dir/data")
			require.NoError(n.t, os.MkdirAll(folder, 0o750))
			return folder
		}

		n.runs(pod, lab.Container{Name: "own", Image: id, HostPath: volume(pod)})

		for name, path := range map[string]string{
			"foreign":  volume(other),
			"above":    filepath.Dir(filepath.Dir(filepath.Dir(volume(pod)))) + "/../" + other.Config.GetMetadata().GetUid(),
			"hostpath": "/usr/share",
		} {
			_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: name, Image: id, HostPath: path})
			require.Contains(n.t, n.refused(err), "host-path", name)
		}
	})
}

func TestHostNetworkOfThePodCountsForItsContainers(t *testing.T) {
	onEachRuntime(t, observed, func(n *node) {
		id, _ := n.image("tool")
		pod := n.pod(lab.Pod{Name: "agent", HostNetwork: true})
		early := n.create(pod, lab.Container{Name: "early", Image: id})
		// What the requests say of the pod is the client's word only.
		pod.Config.Linux.SecurityContext.NamespaceOptions = nil
		container := lab.Container{Name: "web", Image: id}

		n.setPolicies(noHostNetwork)
		n.eventually(pod, container, codes.PermissionDenied)

		refuses := func() {
			_, err := n.cri.Create(n.ctx, pod, container)
			require.Contains(n.t, n.refused(err), "host-network")
			require.Contains(n.t, n.refused(n.cri.Start(n.ctx, early)), "host-network")
			n.runs(n.pod(lab.Pod{Name: "shop"}), container)
		}
		refuses()
		n.restart()
		refuses()
	})
}
