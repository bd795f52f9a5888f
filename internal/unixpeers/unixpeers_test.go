package unixpeers_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/unixpeers"
)

func TestClientOfASocketIsNamedAndNobodyElse(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()

	clients, servers, err := unixpeers.Of(socket)
	require.NoError(t, err)
	require.Empty(t, clients, "nobody has connected yet")
	require.Empty(t, servers)

	pid := child(t, socket)
	connection, err := listener.Accept()
	require.NoError(t, err)
	defer connection.Close()

	clients, servers, err = unixpeers.Of(socket)
	require.NoError(t, err)
	require.Len(t, clients, 1)
	require.Equal(t, pid, clients[0].PID)
	require.Len(t, servers, 1)
	require.Equal(t, os.Getpid(), servers[0].PID)
	require.False(t, servers[0].OwnMounts)
}

func TestSocketIsFoundUnderTheNameOfALinkedFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "run"), 0o700))
	require.NoError(t, os.Symlink("run", filepath.Join(dir, "varrun")))
	listener, err := net.Listen("unix", filepath.Join(dir, "run", "s.sock"))
	require.NoError(t, err)
	defer listener.Close()
	connection, err := net.Dial("unix", filepath.Join(dir, "varrun", "s.sock"))
	require.NoError(t, err)
	defer connection.Close()
	accepted, err := listener.Accept()
	require.NoError(t, err)
	defer accepted.Close()

	clients, _, err := unixpeers.Of(filepath.Join(dir, "varrun", "s.sock"))
	require.NoError(t, err)
	require.Len(t, clients, 1)
	require.Equal(t, os.Getpid(), clients[0].PID)
}

func TestSocketIsFoundUnderAnotherNameOfItsFile(t *testing.T) {
	dir := t.TempDir()
	bound, linked := filepath.Join(dir, "bound.sock"), filepath.Join(dir, "linked.sock")
	listener, err := net.Listen("unix", bound)
	require.NoError(t, err)
	defer listener.Close()
	require.NoError(t, os.Link(bound, linked))
	connection, err := net.Dial("unix", linked)
	require.NoError(t, err)
	defer connection.Close()
	accepted, err := listener.Accept()
	require.NoError(t, err)
	defer accepted.Close()

	clients, _, err := unixpeers.Of(linked)
	require.NoError(t, err)
	require.Len(t, clients, 1)
	require.Equal(t, os.Getpid(), clients[0].PID)
}

// child starts this test again as a process that connects to the socket.
func child(t *testing.T, socket string) int {
	cmd := exec.Command(os.Args[0], "-test.run=^TestMain$")
	cmd.Env = append(os.Environ(), "CONNECT_TO="+socket)
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, input.Close())
		require.NoError(t, cmd.Wait())
	})
	return cmd.Process.Pid
}

func TestMain(m *testing.M) {
	if socket := os.Getenv("CONNECT_TO"); socket != "" {
		if _, err := net.Dial("unix", socket); err != nil {
			panic(err)
		}
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test closes it
		os.Exit(0)
	}
	os.Exit(m.Run())
}
