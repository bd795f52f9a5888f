// Package activation answers: which socket has systemd passed to this process?
//
// A socket that systemd holds outlives the process, so it is used as it is: never bound, never removed,
// and only when it is the one that the process was configured for.
package activation

import (
	"errors"
	"fmt"
	"net"
	"os"

	sd "github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Socket returns the listener that systemd has passed, nil when it has passed none. Closing it leaves the
// socket's path alone. What systemd said of it in the environment is forgotten, for it holds for this
// process only.
func Socket() (*net.UnixListener, error) {
	files := sd.Files(true)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	switch {
	case len(files) == 0:
		return nil, nil
	case len(files) > 1:
		return nil, fmt.Errorf("systemd passed %d sockets; write one ListenStream= into the socket unit", len(files))
	}
	l, err := listener(files[0])
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passed %w", err)
	}
	return l, nil
}

func listener(file *os.File) (*net.UnixListener, error) {
	fd := int(file.Fd()) //nolint:gosec // descriptors are small
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, fmt.Errorf("is no socket: %w", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || family != unix.AF_UNIX || kind != unix.SOCK_STREAM {
		return nil, errors.New("is not a unix stream socket; write ListenStream=/run/portcullis/portcullis.sock into the socket unit")
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listening == 0 {
		return nil, errors.New("is a connection and does not listen; remove Accept=yes from the socket unit")
	}
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return l.(*net.UnixListener), nil
}
