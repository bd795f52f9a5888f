package activation_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"portcullis/internal/activation"
)

// Started as a program that systemd activates, this test binary accepts one connection and tells it what it
// got.
const programVariable = "PORTCULLIS_TEST_ACTIVATED"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "" {
		os.Exit(m.Run())
	}
	passed, err := activation.Receive()
	listener := passed.Socket
	switch {
	case err != nil:
		fmt.Println(err)
	case listener == nil:
		fmt.Println("nothing")
	case os.Getenv("LISTEN_FDS") != "":
		fmt.Println("children would take the socket for theirs")
	default:
		conn, err := listener.Accept()
		fmt.Fprintln(conn, listener.Addr(), err)
		for _, file := range passed.Stored {
			fmt.Fprintln(file, "stored")
		}
		conn.Close()
		listener.Close()
	}
}

// program starts this test binary with files as systemd passes them.
func program(t *testing.T, files ...*os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec "$0"`, len(files)), os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"=1")
	cmd.ExtraFiles = files
	return cmd
}

func listen(t *testing.T, network, name string) *os.File {
	t.Helper()
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: filepath.Join(t.TempDir(), name), Net: network})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	defer l.Close()
	file, err := l.File()
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

// told connects to the program behind the socket, and returns what it says.
func told(t *testing.T, path string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer conn.Close()
	answer := make([]byte, 1000)
	n, err := conn.Read(answer)
	require.NoError(t, err)
	return string(answer[:n])
}

func TestTheSocketIsUsedAndLeftAlone(t *testing.T) {
	file := listen(t, "unix", "s")
	path := address(t, file)
	cmd := program(t, file)
	require.NoError(t, cmd.Start())
	require.Equal(t, path+" <nil>\n", told(t, path))
	require.NoError(t, cmd.Wait())
	require.FileExists(t, path)
}

func TestStoredConnectionsAreNotTakenForTheSocket(t *testing.T) {
	file := listen(t, "unix", "s")
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	cmd := program(t, file, theirs)
	cmd.Env = append(cmd.Env, "LISTEN_FDNAMES=portcullisd.socket:runtime-call-1")
	require.NoError(t, cmd.Start())
	require.NoError(t, theirs.Close())
	require.Equal(t, address(t, file)+" <nil>\n", told(t, address(t, file)))
	text, err := io.ReadAll(ours)
	require.NoError(t, err)
	require.Equal(t, "stored\n", string(text))
	require.NoError(t, cmd.Wait())
}

func address(t *testing.T, file *os.File) string {
	t.Helper()
	l, err := net.FileListener(file)
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestSystemdsOwnToolActivatesUs(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("needs systemd-socket-activate; install the package systemd")
	}
	path := filepath.Join(t.TempDir(), "s")
	cmd := exec.Command(tool, "--listen="+path, "--setenv="+programVariable+"=1", os.Args[0])
	printed, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = printed.Read(make([]byte, 1)) // it says that it listens
	require.NoError(t, err)
	require.Equal(t, path+" <nil>\n", told(t, path))
	require.NoError(t, cmd.Wait())
}

func TestWhatIsNotOneListeningStreamSocketIsRefused(t *testing.T) {
	dir := t.TempDir()
	plain, err := os.Create(filepath.Join(dir, "plain"))
	require.NoError(t, err)
	defer plain.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer tcp.Close()
	tcpFile, err := tcp.(*net.TCPListener).File()
	require.NoError(t, err)
	defer tcpFile.Close()

	one := listen(t, "unix", "one")
	conn, err := net.Dial("unix", address(t, one))
	require.NoError(t, err)
	defer conn.Close()
	connected, err := conn.(*net.UnixConn).File()
	require.NoError(t, err)
	defer connected.Close()

	for want, files := range map[string][]*os.File{
		"nothing": {},
		"systemd passed 2 sockets; write one ListenStream= into the socket unit":          {one, listen(t, "unix", "two")},
		"is not a unix stream socket; write ListenStream=/run/portcullis/portcullis.sock": {tcpFile},
		"that systemd passed is not a unix stream socket":                                 {listen(t, "unixpacket", "packets")},
		"is a connection and does not listen; remove Accept=yes from the socket unit":     {connected},
		"the socket that systemd passed is no socket: socket operation on non-socket":     {plain},
	} {
		output, err := program(t, files...).CombinedOutput()
		require.NoError(t, err)
		require.Contains(t, string(output), want)
	}
}

func TestWhatWasMeantForAnotherProcessIsLeftAlone(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"=1", "LISTEN_PID=1", "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{listen(t, "unix", "s")}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "nothing", strings.TrimSpace(string(output)))
}
