// Package nodeinstall answers: how does Portcullis get between the kubelet and the runtime of this node,
// and out again, without the node being lost?
//
// What it decides for you: the endpoint is changed in the very place where it is set, and nothing else of
// that file; portcullisd answers before the kubelet is told of it; a kubelet that is not healthy before
// is not touched, and one that is not healthy after is put back. Everything that is about to change is
// on disk (state.go) before it changes, so that whatever ends a run, the next one can finish it or take
// it back.
package nodeinstall

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"portcullis/internal/unixpeers"
)

// Machine is the node that is worked on.
type Machine struct {
	Root     string // where its file system begins, "/" for this machine
	Services Services
	Probe    Probe
	Units    fs.FS  // portcullisd.socket and so on, and kubelet.service.d
	Config   string // path of portcullisd.yaml
	Say      func(format string, arguments ...any)
	Timing   Timing
	Version  string
	Now      func() time.Time
}

// Timing bounds what is waited for.
type Timing struct {
	Daemon  time.Duration // until portcullisd answers
	Kubelet time.Duration // until the kubelet is healthy after a restart
	Settle  time.Duration // for how long it must stay so: one that fails starts again and again
	Poll    time.Duration // between two looks
}

// DefaultTiming fits a slow node: a kubelet with a hundred pods needs some 20 s.
var DefaultTiming = Timing{Daemon: 30 * time.Second, Kubelet: 2 * time.Minute, Settle: 6 * time.Second, Poll: 500 * time.Millisecond}

// Services starts and stops what runs on the node.
type Services interface {
	// Managed says whether units are used at all; without them only Restart does anything.
	Managed() bool
	// Reload makes changed units known.
	Reload(ctx context.Context) error
	Active(ctx context.Context, unit string) bool
	// Start starts units now and at every boot; Stop is the opposite.
	Start(ctx context.Context, units ...string) error
	Stop(ctx context.Context, units ...string) error
	Restart(ctx context.Context, unit string) error
}

// Probe looks at what runs on the node.
type Probe interface {
	// Runtime asks what answers at a CRI socket for its name and version.
	Runtime(ctx context.Context, socket string) (Runtime, error)
	// Kubelet returns nil when /healthz at address is well.
	Kubelet(ctx context.Context, address string) error
	// Clients returns the processes connected to a socket.
	Clients(socket string) ([]unixpeers.Process, error)
}

// Runtime is what a container runtime says of itself.
type Runtime struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (r Runtime) String() string { return r.Name + " " + r.Version }

// Find returns this node's kubelet as it is configured now, also where that cannot be changed.
func Find(root, unit string, systemd bool) (*Kubelet, error) {
	k, err := search{unit: unit, systemd: systemd}.kubelet(files{root: root})
	if k != nil && k.Endpoint != "" {
		return k, nil
	}
	return nil, err
}

func replaceEndpoint(text, listen string) string {
	return strings.ReplaceAll(text, "ENDPOINT", endpointOf(listen))
}
