// Package privilege answers: which privileged parameters does this container ask for?
//
// It reads the CRI messages of a container and of the sandbox that it joins, the deprecated fields
// too, and names every parameter of the catalogue in package policy that they ask for. What the
// kubelet itself adds to a container is not asked for by anybody.
package privilege

import (
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
)

// Host is what has to be known of the node to tell its paths apart.
type Host struct {
	KubeletRoot string   // default /var/lib/kubelet
	PodLogs     string   // default /var/log/pods
	Sockets     []string // of the runtime and of Portcullis, beyond the well-known ones
	// ResolveSymlinks returns the real path of an existing file, as filepath.EvalSymlinks does. Without
	// it paths are compared as they are written.
	ResolveSymlinks func(path string) (string, error)
}

// Asks returns what the container asks for, sorted as the catalogue is, each once. The sandbox may be
// nil when nothing is known of it.
func Asks(sandbox *cri.PodSandboxConfig, container *cri.ContainerConfig, host Host) []policy.Ask {
	return nil
}
