package e2e

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
	"portcullis/proxy/grpcpath"
)

// TestARestartDoesNotCancelWhatTheRuntimeIsExecuting restarts the daemon while the runtime takes longer to
// create a container than the daemon waits.
func TestARestartDoesNotCancelWhatTheRuntimeIsExecuting(t *testing.T) {
	needLab(t)
	t.Parallel()
	containerd := world.containerds[len(world.containerds)-1]
	slow := startSlowRuntime(t, containerd.Socket)
	n, s := systemdNodeBefore(t, containerd, slow.socket)
	stored := func() string {
		count, err := s.Systemctl("show", "--property=NFileDescriptorStore", "--value", "portcullisd.service")
		require.NoError(t, err)
		return count
	}
	_, err := s.Systemctl("start", "portcullisd.socket", "portcullisd.service")
	require.NoError(t, err)
	n.cri = n.dial(n.Socket)
	image, _ := n.image("clean")
	pod := n.pod(lab.Pod{Name: "shop"})

	slow.slow.Store(true)
	created := make(chan error, 1)
	go func() {
		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: image})
		created <- err
	}()
	<-slow.began
	_, err = s.Systemctl("restart", "portcullisd.service")
	require.NoError(t, err)
	err = <-created
	require.Equal(t, codes.Unavailable, status.Code(err), "the daemon has waited for it: %v", err)
	require.Equal(t, "1", stored())

	there := func() int {
		list, err := n.direct.Runtime.ListContainers(n.ctx, &runtime.ListContainersRequest{Filter: &runtime.ContainerFilter{PodSandboxId: pod.ID}})
		require.NoError(t, err)
		return len(list.GetContainers())
	}
	require.Eventually(t, func() bool { return there() == 1 || slow.cancelled.Load() }, patience, 20*time.Millisecond)
	require.False(t, slow.cancelled.Load())
	_, err = n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: image})
	require.ErrorContains(t, err, "is reserved for", "what the kubelet hears when it tries again")
	require.Equal(t, 1, there())

	_, err = s.Systemctl("restart", "portcullisd.service")
	require.NoError(t, err)
	require.Equal(t, "1", stored(), "another restart lets go of it")
	slow.path.Stop(canceled())
	require.Eventually(t, func() bool { return stored() == "0" }, patience, 20*time.Millisecond)
}

// slowRuntime is a containerd that takes its time for one CreateContainer, unless that is cancelled.
type slowRuntime struct {
	socket    string
	path      *grpcpath.Path
	slow      atomic.Bool
	began     chan struct{}
	cancelled atomic.Bool
}

func startSlowRuntime(t *testing.T, containerdSocket string) *slowRuntime {
	t.Helper()
	dir, err := lab.Dir("slow")
	require.NoError(t, err)
	r := &slowRuntime{socket: filepath.Join(dir, "r.sock"), began: make(chan struct{})}
	runtime, err := grpcpath.Dial(containerdSocket)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, runtime.Close()) })
	r.path = grpcpath.New(runtime, r, grpcpath.Options{})
	listener, err := net.Listen("unix", r.socket)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- r.path.Serve(listener) }()
	t.Cleanup(func() {
		r.path.Stop(canceled())
		require.NoError(t, <-served)
	})
	return r
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Guards says which calls may take long.
func (r *slowRuntime) Guards(method string) bool {
	return strings.HasSuffix(method, "/CreateContainer")
}

// Check takes twice as long as the daemon waits when it ends.
func (r *slowRuntime) Check(ctx context.Context, _ string, _ []byte) (func([]byte), error) {
	if !r.slow.CompareAndSwap(true, false) {
		return nil, nil
	}
	close(r.began)
	select {
	case <-time.After(6 * time.Second):
		return nil, nil
	case <-ctx.Done():
		r.cancelled.Store(true)
		return nil, ctx.Err()
	}
}
