package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is the unix socket that the kubelet connects to, and the lock that keeps a second daemon
// off it.
type socket struct {
	net.Listener
	lock *os.File
}

// listen opens the socket at path, mode 0600, in a folder that only its owner can enter. A socket
// left by a daemon that died is taken over; anything else at path is left alone.
func listen(path string) (*socket, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := checkParent(path); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	listener, err := takeOver(path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &socket{Listener: listener, lock: lock}, nil
}

// Close closes the listener, which removes the socket, and then gives up the lock.
func (s *socket) Close() error {
	return errors.Join(s.Listener.Close(), s.lock.Close())
}

// checkParent makes sure that nobody but the owner reaches the socket's folder: whoever can connect
// rules the node. A folder that does not exist is made by listen.
func checkParent(path string) error {
	parent := filepath.Dir(path)
	info, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("listen: %w", err)
	case !info.IsDir():
		return fmt.Errorf("listen: %s is not a folder", parent)
	case info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()): //nolint:gosec // user IDs are 32 bits
		return fmt.Errorf("listen: %s belongs to another user, who could put a socket of theirs there; use a folder of your own with mode 0700", parent)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("listen: %s has mode %#o, so others could reach the socket; use a folder of its own with mode 0700", parent, info.Mode().Perm())
	}
	return nil
}

// lockFile takes the lock that a running daemon holds for as long as it lives, however it ends.
func lockFile(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("listen: lock: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		lock.Close()
		return nil, fmt.Errorf("listen: another portcullisd is running on this socket (it holds %s); stop it first", path)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen: lock %s: %w", path, err)
	}
	return lock, nil
}

func takeOver(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("listen: %s exists and is not a socket; it is left alone, choose another path", path)
	default:
		// We hold the lock, so no portcullisd serves it; make sure that nothing else does either.
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, fmt.Errorf("listen: another program serves %s; choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen: stale socket: %w", err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}
