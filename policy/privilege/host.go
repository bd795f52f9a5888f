package privilege

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Host is what has to be known of the node to tell its paths apart. The zero value knows the usual
// places and compares paths as they are written.
type Host struct {
	KubeletRoot string   // default /var/lib/kubelet
	PodLogs     string   // default /var/log/pods
	Sockets     []string // of the runtime and of Portcullis, beyond the well-known ones
	Sensitive   []string // files and directories that nobody but root should write, beyond the well-known ones
	// ResolveSymlinks returns the real path of an existing file, as filepath.EvalSymlinks does.
	ResolveSymlinks func(path string) (string, error)
	// Mounts returns the node's mount table in the form of /proc/self/mountinfo. It is asked only for
	// mounts with a subPath, which the kubelet binds into the pod's directory whatever they come from.
	Mounts func() ([]byte, error)
}

// sensitiveTrees hold the node's secrets, binaries and controls: they, all that is below them and any
// parent of them. Of sensitiveDirectories what lies below may be harmless.
var (
	sensitiveTrees = []string{
		"/boot", "/cgroup", "/etc", "/home", "/lib/modules", "/proc", "/root", "/sys", "/usr/lib/modules", "/var/lib/kubelet",
		"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/cni", "/dev", "/run/systemd",
		"/run/containerd", "/run/crio", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/etcd",
		"/var/lib/portcullis", // also what uninstall is to put back, and the scanner's advisories
	}
	sensitiveDirectories = []string{"/", "/usr", "/var", "/var/log"}
)

// wellKnownSockets give whoever reaches them the runtime's or the kubelet's power.
var wellKnownSockets = []string{
	"/run/containerd/containerd.sock", "/run/containerd/containerd.sock.ttrpc", "/run/k3s/containerd/containerd.sock",
	"/run/crio/crio.sock", "/run/docker.sock", "/run/docker/containerd/containerd.sock", "/run/cri-dockerd.sock", "/run/podman/podman.sock",
	"/run/portcullis/portcullis.sock",
	// A directory with the sockets of containerd's shims, one for each pod; each takes orders like the runtime's.
	"/run/containerd/s/shim",
}

// spelling is one file of the node under the names by which it may be known: as written and as
// resolved. The two are compared one by one, since a link may change its target.
type spelling []string

// spell cleans name and resolves its links, those before a .. too, as the kernel does. What does not
// exist yet is resolved as far as it exists: runtimes create missing host paths.
func (h Host) spell(name string) spelling {
	written := clean(name)
	names := spelling{written}
	if h.ResolveSymlinks == nil {
		return names
	}
	for dir, rest := "/"+strings.TrimLeft(name, "/"), ""; dir != ""; {
		if real, err := h.ResolveSymlinks(dir); err == nil {
			if resolved := clean(real + "/" + rest); resolved != written {
				names = append(names, resolved)
			}
			break
		}
		last := strings.LastIndexByte(dir, '/')
		dir, rest = dir[:last], dir[last+1:]+"/"+rest
	}
	return names
}

// unstable returns the first link on the way to name that stands where it may be exchanged, "" when
// there is none: whoever can write to its directory decides what the runtime will find behind it. Links in
// directories of the system are as firm as these are.
func (h Host) unstable(name string) string {
	if h.ResolveSymlinks == nil {
		return ""
	}
	real := "/"
	for part := range strings.SplitSeq(clean(name), "/") {
		next := path.Join(real, part)
		resolved, err := h.ResolveSymlinks(next)
		switch {
		case err != nil:
			return "" // nothing is there yet
		case clean(resolved) != clean(next) && !h.sensitive(spelling{clean(real)}):
			return next
		}
		real = resolved
	}
	return ""
}

func (s spelling) String() string { return strings.Join(s, " → ") }

// procRoot is the root directory of a process, by which any path of the node can be written.
var procRoot = regexp.MustCompile(`^/proc/[^/]+(/task/[^/]+)?/root(/|$)`)

// clean makes a path absolute, free of . and .., and undoes the detours that hold on any Linux node.
func clean(name string) string {
	name = path.Clean("/" + name)
	for procRoot.MatchString(name) {
		name = path.Clean("/" + procRoot.ReplaceAllString(name, ""))
	}
	if inside(name, "/var/run") {
		name = strings.TrimPrefix(name, "/var")
	}
	return name
}

// inside says whether name is directory or lies below it.
func inside(name, directory string) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(directory, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// sensitive says whether the file is, holds, or belongs to something sensitive.
func (h Host) sensitive(s spelling) bool {
	trees := slices.Concat(sensitiveTrees, h.kubeletRoot())
	for _, tree := range h.Sensitive {
		trees = append(trees, h.spell(tree)...)
	}
	for _, name := range s {
		if slices.Contains(sensitiveDirectories, name) {
			return true
		}
		for _, tree := range trees {
			if inside(name, tree) || inside(tree, name) {
				return true
			}
		}
	}
	return false
}

// socket says whether the file is a socket of the runtime or a directory that holds one.
func (h Host) socket(s spelling) bool {
	sockets := slices.Concat(wellKnownSockets, h.Sockets)
	for _, root := range h.kubeletRoot() {
		sockets = append(sockets, path.Join(root, "device-plugins/kubelet.sock"), path.Join(root, "pod-resources/kubelet.sock"))
	}
	for _, socket := range sockets {
		for _, place := range h.spell(socket) {
			for _, name := range s {
				if inside(place, name) {
					return true
				}
			}
		}
	}
	return false
}

func (h Host) kubeletRoot() spelling { return h.spell(cmp.Or(h.KubeletRoot, "/var/lib/kubelet")) }

// directories are those where the kubelet keeps what it made for one pod.
type directories []string

func (d directories) contain(name string) bool {
	return slices.ContainsFunc(d, func(directory string) bool { return inside(name, directory) })
}

// ownDirectories returns the directories of the pod, and of no other: another pod's volumes are as
// foreign as the rest of the node.
func (h Host) ownDirectories(sandbox *cri.PodSandboxConfig) directories {
	pod := sandbox.GetMetadata()
	if !isFileName(pod.GetUid()) {
		return nil
	}
	var own directories
	for _, root := range h.kubeletRoot() {
		own = append(own, path.Join(root, "pods", pod.GetUid()))
	}
	logs := pod.GetNamespace() + "_" + pod.GetName() + "_" + pod.GetUid()
	if isFileName(logs) {
		for _, root := range h.spell(cmp.Or(h.PodLogs, "/var/log/pods")) {
			own = append(own, path.Join(root, logs))
		}
	}
	return own
}

// isFileName says whether name can only mean an entry of the directory that it is looked up in.
func isFileName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
}
