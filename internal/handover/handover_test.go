package handover

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// Started by a test as another user, this test binary asks at the socket that the variable names.
const askVariable = "PORTCULLIS_TEST_ASK"

func TestMain(m *testing.M) {
	if path := os.Getenv(askVariable); path != "" {
		if _, err := Ask(path); err != nil {
			os.Stdout.WriteString(err.Error())
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// offer has a process that holds one listener offer it until the test ends, and counts what becomes of that.
func offer(t *testing.T, path string) (held *net.UnixListener, resumed, retired chan struct{}) {
	t.Helper()
	log, _ := test.NewNullLogger()
	held, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "held"), Net: "unix"})
	require.NoError(t, err)
	t.Cleanup(func() { held.Close() })
	private, err := Listen(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	resumed, retired, over := make(chan struct{}, 10), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		Offer(ctx, private, Incumbent{
			Lend:   func() map[string]syscall.Conn { return map[string]syscall.Conn{"held": held} },
			Resume: func() { resumed <- struct{}{} },
			Retire: func() { close(retired) },
			Log:    log,
		})
	}()
	t.Cleanup(func() { cancel(); <-over })
	return held, resumed, retired
}

func TestAnotherUsersProcessGetsNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	// Where anybody could get at it: the folder that keeps others away is only the first line.
	dir, err := os.MkdirTemp("", "handover")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "private")
	_, resumed, retired := offer(t, path)
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(path, 0o666))
	program := filepath.Join(dir, "program")
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, binary, 0o755))

	cmd := exec.Command(program)
	cmd.Env = []string{askVariable + "=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(output), "belongs to user 0, not to ours", "it would trust anybody")

	require.Empty(t, resumed, "it was lent something")
	select {
	case <-retired:
		t.Fatal("it took over")
	default:
	}
}

func TestASuccessorThatSaysNothingMoreIsNotWaitedFor(t *testing.T) {
	before := patience
	patience = 100 * time.Millisecond
	defer func() { patience = before }()
	path := filepath.Join(t.TempDir(), "private")
	_, resumed, _ := offer(t, path)
	s, err := Ask(path)
	require.NoError(t, err)
	<-resumed
	require.Error(t, s.Ready(), "it may serve although the other goes on")
	require.NoError(t, s.Close())

	s, err = Ask(path)
	require.NoError(t, err)
	require.NoError(t, s.Ready())
	<-resumed
	require.Error(t, s.Serving(), "it may serve although the other goes on")
}

// TestAcceptingOnASharedListenerLeavesTheOtherStoppable would hang if the incumbent's socket blocked.
func TestAcceptingOnASharedListenerLeavesTheOtherStoppable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	held, _, retired := offer(t, path)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := held.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	s, err := Ask(path)
	require.NoError(t, err)
	ours, err := Listener(s.Files["held"])
	require.NoError(t, err)
	require.Equal(t, held.Addr(), ours.Addr())
	require.NoError(t, s.Ready())
	require.NoError(t, s.Serving())
	<-retired
	held.SetUnlinkOnClose(false)
	require.NoError(t, held.Close())
	<-ended

	client, err := net.Dial("unix", ours.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	conn, err := ours.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, ours.Close())
	_, err = ours.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestWhatDoesNotListenIsNoListener(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer file.Close()
	_, err = Listener(file)
	require.Error(t, err)
}
