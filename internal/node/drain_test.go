package node_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// slow is a runtime that stops a container when the test says so.
type slow struct {
	runtime
	began, stop chan struct{}
	ended       chan error // nil, or why the call was cancelled
}

func (s *slow) StopContainer(ctx context.Context, _ *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	close(s.began)
	select {
	case <-s.stop:
	case <-ctx.Done():
	}
	s.ended <- ctx.Err()
	return &cri.StopContainerResponse{}, ctx.Err()
}

// stopping is a daemon that waits hardly at all when it ends, while its runtime stops a container.
func stopping(t *testing.T) (d *daemon, s *slow, signals chan<- os.Signal, ended <-chan error, answered chan error) {
	t.Helper()
	config := newConfig(t)
	config.Timeouts.Drain = time.Millisecond
	s = &slow{began: make(chan struct{}), stop: make(chan struct{}), ended: make(chan error, 1)}
	serve(t, config, s)
	d = &daemon{config: config, dir: filepath.Dir(config.Runtime)}
	signals, ended = d.runs(t)
	connection, err := grpc.NewClient("unix:"+config.Listen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { connection.Close() })
	d.client = cri.NewRuntimeServiceClient(connection)
	answered = make(chan error, 1)
	go func() {
		_, err := d.client.StopContainer(context.Background(), &cri.StopContainerRequest{}, grpc.WaitForReady(true))
		answered <- err
	}()
	<-s.began
	return d, s, signals, ended, answered
}

func TestTheRetiredWaitForTheirLastCall(t *testing.T) {
	d, s, _, ended, answered := stopping(t)
	n := d.successor(t)
	require.NoError(t, n.Start())
	defer func() { require.NoError(t, n.Stop()) }()
	_, err := d.client.Version(t.Context(), &cri.VersionRequest{})
	require.NoError(t, err)
	close(s.stop)
	require.NoError(t, <-s.ended)
	require.NoError(t, <-answered)
	require.NoError(t, <-ended)
}

func TestTheRetiredEndAtOnceWhenTheyAreToldTo(t *testing.T) {
	d, _, signals, ended, answered := stopping(t)
	n := d.successor(t)
	require.NoError(t, n.Start())
	defer func() { require.NoError(t, n.Stop()) }()
	<-d.Succeeded()
	signals <- unix.SIGHUP
	signals <- unix.SIGTERM
	require.NoError(t, <-ended)
	require.Equal(t, codes.Unavailable, status.Code(<-answered))
}

func TestWithoutSystemdACallThatOutlastsTheDrainIsCancelled(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	d, s, signals, ended, answered := stopping(t)
	signals <- unix.SIGTERM
	require.NoError(t, <-ended)
	require.Equal(t, codes.Unavailable, status.Code(<-answered))
	require.ErrorIs(t, <-s.ended, context.Canceled)
	require.Contains(t, d.hook.LastEntry().Message, "calls that the runtime is executing are cancelled")
}

func TestUnderSystemdACallOutlastsTheProcess(t *testing.T) {
	systemd := newSystemd(t)
	d, s, signals, ended, answered := stopping(t)
	signals <- unix.SIGTERM
	require.NoError(t, <-ended)
	require.Equal(t, codes.Unavailable, status.Code(<-answered))
	stored := systemd.stored(t)

	d.stored = []*os.File{stored}
	signals, ended = d.runs(t)
	close(s.stop)
	require.NoError(t, <-s.ended, "it was cancelled")
	signals <- unix.SIGTERM
	require.NoError(t, <-ended)
}

// stored returns the first file that systemd is told to keep.
func (s systemd) stored(t *testing.T) *os.File {
	t.Helper()
	require.NoError(t, s.conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	for {
		rights := make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := s.conn.ReadMsgUnix(make([]byte, 4096), rights)
		require.NoError(t, err)
		if n == 0 {
			continue
		}
		messages, err := unix.ParseSocketControlMessage(rights[:n])
		require.NoError(t, err)
		descriptors, err := unix.ParseUnixRights(&messages[0])
		require.NoError(t, err)
		return os.NewFile(uintptr(descriptors[0]), "runtime-call-1")
	}
}
