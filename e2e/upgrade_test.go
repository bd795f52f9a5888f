package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

// restarts is how often a daemon is replaced under load.
const restarts = 20

func TestRestartsWithASocketThatIsHeldLoseNoCall(t *testing.T) {
	onEachRuntimeWith(t, noCriticals, lab.PortcullisdOptions{Activated: true}, func(n *node) {
		n.underLoad(func() {
			require.NoError(n.t, n.Stop())
			require.NoError(n.t, n.Start())
		})
	})
}

func TestUpgradesByHandOverLoseNoCall(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		n.underLoad(func() { require.NoError(n.t, n.Upgrade()) })
	})
}

// underLoad replaces the daemon again and again while clients poll and create containers, and expects
// that each of their calls succeeds and each container is there exactly once.
func (n *node) underLoad(replace func()) {
	image, _ := n.image("clean")
	l := &load{node: n, pod: n.pod(lab.Pod{Name: "shop"}), image: image, names: map[string]string{}}
	ctx, stop := context.WithCancel(n.ctx)
	defer stop()
	var clients sync.WaitGroup
	for _, c := range []func(context.Context, *lab.CRI){l.version, l.list, l.status, l.events, l.create, l.create} {
		client, err := lab.DialAsKubelet(n.Socket)
		require.NoError(n.t, err)
		clients.Go(func() {
			defer client.Close()
			for ctx.Err() == nil {
				c(ctx, client)
			}
		})
	}
	for i := range restarts {
		l.someMore()
		replace()
		n.t.Logf("replaced %d times, %d calls so far", i+1, l.calls())
	}
	l.someMore()
	stop()
	clients.Wait()
	l.check()
}

// load is what clients do, and what came of it.
type load struct {
	node  *node
	pod   *lab.Sandbox
	image string

	mu      sync.Mutex
	made    int               // calls
	begun   int               // containers
	names   map[string]string // of the containers created, by ID
	lost    []error
	longest time.Duration
}

// call makes one call, and notes what became of it. A call that began is not cut off by the test's end.
func (l *load) call(ctx context.Context, method string, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	began := time.Now()
	err := call(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	l.longest = max(l.longest, time.Since(began))
	if err != nil {
		l.lost = append(l.lost, fmt.Errorf("%s: %w", method, err))
	}
}

func (l *load) version(ctx context.Context, client *lab.CRI) {
	l.call(ctx, "Version", func(ctx context.Context) error {
		_, err := client.Runtime.Version(ctx, &runtime.VersionRequest{})
		return err
	})
}

func (l *load) list(ctx context.Context, client *lab.CRI) {
	l.call(ctx, "ListContainers", func(ctx context.Context) error {
		_, err := client.Runtime.ListContainers(ctx, &runtime.ListContainersRequest{})
		return err
	})
}

func (l *load) status(ctx context.Context, client *lab.CRI) {
	l.call(ctx, "Status", func(ctx context.Context) error {
		_, err := client.Runtime.Status(ctx, &runtime.StatusRequest{})
		return err
	})
}

// events follows the runtime's events until the daemon ends that, as the kubelet does.
func (l *load) events(ctx context.Context, client *lab.CRI) {
	stream, err := client.Runtime.GetContainerEvents(ctx, &runtime.GetEventsRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	switch status.Code(err) {
	case codes.Canceled, codes.Unavailable:
	case codes.Internal: // the stream was ended within a message; the kubelet opens a new one all the same
	case codes.Unimplemented: // containerd 1.6
		<-ctx.Done()
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost = append(l.lost, fmt.Errorf("GetContainerEvents: %w", err))
	}
}

func (l *load) create(ctx context.Context, client *lab.CRI) {
	l.mu.Lock()
	l.begun++
	name := fmt.Sprintf("c%d", l.begun)
	l.mu.Unlock()
	l.call(ctx, "CreateContainer", func(ctx context.Context) error {
		id, err := client.Create(ctx, l.pod, lab.Container{Name: name, Image: l.image})
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.names[id] = name
		}
		return err
	})
}

func (l *load) calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made
}

// someMore waits until the clients have come on: each of them is at work when it returns.
func (l *load) someMore() {
	l.mu.Lock()
	calls, containers := l.made, len(l.names)
	l.mu.Unlock()
	require.Eventually(l.node.t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.lost) > 0 || l.made >= calls+20 && len(l.names) >= containers+2
	}, patience, time.Millisecond)
}

func (l *load) check() {
	t := l.node.t
	t.Logf("%d calls, %d of them created containers; the longest took %s", l.made, len(l.names), l.longest.Round(time.Millisecond))
	require.Empty(t, l.lost)
	require.Len(t, l.names, l.begun)
	response, err := l.node.direct.Runtime.ListContainers(l.node.ctx, &runtime.ListContainersRequest{Filter: &runtime.ContainerFilter{PodSandboxId: l.pod.ID}})
	require.NoError(t, err)
	there := map[string]string{}
	for _, c := range response.GetContainers() {
		there[c.GetId()] = c.GetMetadata().GetName()
	}
	require.Equal(t, l.names, there)
	require.Len(t, response.GetContainers(), len(l.names))
	names := make([]string, 0, len(there))
	for _, name := range there {
		names = append(names, name)
	}
	slices.Sort(names)
	require.Len(t, slices.Compact(names), l.begun, "a container is there twice")
}
