package centralapp

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// unread is a connection whose other end reads nothing.
func unread(t *testing.T, patience time.Duration) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	other, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	connection, err := patient{listener, patience}.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// tooMuch is more than the kernel keeps for who does not read.
var tooMuch = make([]byte, 64<<20)

func TestACallerWhoReadsNothingKeepsNoConnection(t *testing.T) {
	_, err := unread(t, 20*time.Millisecond).Write(tooMuch)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestPatienceDoesNotPutOffADeadline(t *testing.T) {
	connection := unread(t, time.Hour)
	require.NoError(t, connection.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := connection.Write(tooMuch)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}
