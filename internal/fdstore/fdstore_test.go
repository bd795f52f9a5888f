package fdstore

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is the end of systemd that keeps descriptors.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address.Name)
	return &manager{t, conn}
}

// told returns the lines of the next message, and the file that came with it, nil for none.
func (m *manager) told() (lines []string, file *os.File) {
	m.t.Helper()
	require.NoError(m.t, m.conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	data, rights := make([]byte, 1000), make([]byte, 1000)
	n, r, _, _, err := m.conn.ReadMsgUnix(data, rights)
	require.NoError(m.t, err)
	lines = strings.Split(string(data[:n]), "\n")
	messages, err := unix.ParseSocketControlMessage(rights[:r])
	require.NoError(m.t, err)
	for _, message := range messages {
		descriptors, err := unix.ParseUnixRights(&message)
		require.NoError(m.t, err)
		require.Len(m.t, descriptors, 1)
		file = os.NewFile(uintptr(descriptors[0]), strings.TrimPrefix(lines[1], "FDNAME="))
	}
	return lines, file
}

// kept is the runtime's end of a connection that the manager keeps, whose first owner has ended, and the
// file as the manager passes it on.
func (m *manager) kept() (runtime net.Conn, file *os.File) {
	m.t.Helper()
	listener, err := net.Listen("unix", filepath.Join(m.t.TempDir(), "r"))
	require.NoError(m.t, err)
	defer listener.Close()
	conn, err := net.Dial("unix", listener.Addr().String())
	require.NoError(m.t, err)
	runtime, err = listener.Accept()
	require.NoError(m.t, err)
	m.t.Cleanup(func() { runtime.Close() })

	require.NoError(m.t, Store(conn.(*net.UnixConn)))
	require.NoError(m.t, conn.Close())
	lines, file := m.told()
	require.Equal(m.t, "FDSTORE=1", lines[0])
	require.True(m.t, Stored(file.Name()), file.Name())
	return runtime, file
}

func copyOf(t *testing.T, file *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	return os.NewFile(uintptr(fd), file.Name())
}

func hold(ctx context.Context, file *os.File) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- Hold(ctx, file) }()
	return ended
}

func TestTheRuntimeCanGoOnAndIsForgottenWhenItHangsUp(t *testing.T) {
	m := newManager(t)
	runtime, file := m.kept()
	ended := hold(t.Context(), file)
	_, err := runtime.Write(make([]byte, 4<<20)) // more than any buffer on the way
	require.NoError(t, err)
	require.NoError(t, runtime.Close())
	require.NoError(t, <-ended)
	lines, _ := m.told()
	require.Equal(t, []string{"FDSTOREREMOVE=1", "FDNAME=" + file.Name()}, lines)
}

func TestTwoConnectionsAreForgottenOneByOne(t *testing.T) {
	m := newManager(t)
	_, first := m.kept()
	defer first.Close()
	_, second := m.kept()
	defer second.Close()
	require.NotEqual(t, first.Name(), second.Name())
}

func TestSilentConnectionIsGivenUp(t *testing.T) {
	before := silence
	silence = 50 * time.Millisecond
	defer func() { silence = before }()
	m := newManager(t)
	runtime, file := m.kept()
	require.NoError(t, <-hold(t.Context(), file))
	lines, _ := m.told()
	require.Equal(t, "FDSTOREREMOVE=1", lines[0])
	_, err := runtime.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestAnotherRestartLeavesTheConnectionToTheNextProcess(t *testing.T) {
	m := newManager(t)
	runtime, file := m.kept()
	stored := copyOf(t, file)
	ctx, restart := context.WithCancel(t.Context())
	ended := hold(ctx, file)
	restart()
	require.NoError(t, <-ended)
	_, err := runtime.Write([]byte("still there"))
	require.NoError(t, err)
	ended = hold(t.Context(), stored)
	require.NoError(t, runtime.Close())
	require.NoError(t, <-ended)
	lines, _ := m.told()
	require.Equal(t, "FDSTOREREMOVE=1", lines[0], "the first has had it forgotten")
}

func TestWithoutSystemdNobodyKeepsAnything(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	ours, theirs, err := os.Pipe()
	require.NoError(t, err)
	defer ours.Close()
	defer theirs.Close()
	require.ErrorContains(t, Store(ours), "systemd has not started this process")
}
