// Package activation answers: what has systemd passed to this process?
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

	"portcullis/internal/fdstore"
)

// Passed is what systemd has passed.
type Passed struct {
	Socket *net.UnixListener // nil for none; closing it leaves its path alone
	Stored []*os.File        // connections that the process before has left, for fdstore.Hold
}

// Receive takes what systemd has passed. What that said of it in the environment is forgotten, for it
// holds for this process only.
func Receive() (Passed, error) {
	var passed Passed
	var sockets []*os.File
	for _, file := range sd.Files(true) {
		if fdstore.Stored(file.Name()) {
			passed.Stored = append(passed.Stored, file)
		} else {
			sockets = append(sockets, file)
		}
	}
	var err error
	if passed.Socket, err = socket(sockets); err != nil {
		closeAll(passed.Stored)
		return Passed{}, err
	}
	return passed, nil
}

func socket(files []*os.File) (*net.UnixListener, error) {
	defer closeAll(files)
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

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func listener(file *os.File) (*net.UnixListener, error) {
	fd := int(file.Fd())
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
