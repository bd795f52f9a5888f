package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is the unix socket that the kubelet connects to.
type socket struct {
	net.Listener
	path string
	// ours says that the path goes when the socket is closed. It does not while somebody else holds the
	// socket as well: systemd, or a successor.
	ours atomic.Bool
}

// Close closes the socket and, when it is ours, removes its path.
func (s *socket) Close() error {
	var removal error
	if s.ours.Swap(false) {
		removal = os.Remove(s.path) // before it is closed: afterwards the path may be another's
	}
	if errors.Is(removal, fs.ErrNotExist) {
		removal = nil
	}
	return errors.Join(removal, s.Listener.Close())
}

// SyscallConn gives access to the socket, so that it can be handed over.
func (s *socket) SyscallConn() (syscall.RawConn, error) {
	return s.Listener.(syscall.Conn).SyscallConn()
}

// errRunning says that another portcullisd holds the lock.
var errRunning = errors.New("another portcullisd is running on this socket")

// listen opens the socket at path, mode 0600. The caller holds the lock. A socket left by a daemon
// that died is replaced; anything else at path is left alone.
func listen(path string) (*socket, error) {
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
			return nil, fmt.Errorf("listen: another program serves %s (systemd does, while portcullisd.socket is started: use systemctl start portcullisd); stop it or choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen: stale socket: %w", err)
		}
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	s := &socket{Listener: listener, path: path}
	s.ours.Store(true)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), s.Close())
	}
	return s, nil
}

// activated makes sure that the socket that systemd has passed is the one at path, and that nobody but
// its owner gets at it.
func activated(path string, listener *net.UnixListener) (*socket, error) {
	if address := listener.Addr().String(); address != path {
		return nil, fmt.Errorf("listen: systemd passed the socket %s, and the configuration says %s; write the same path into ListenStream= and listen", address, path)
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("listen: the socket that systemd passed is not there any more; restart portcullisd.socket and the kubelet: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("listen: %s is not the socket that systemd passed, nor any; remove it, then restart portcullisd.socket and the kubelet", path)
	case owner(info) != os.Geteuid():
		return nil, fmt.Errorf("listen: %s belongs to user %d, who could replace it; remove SocketUser= from the socket unit", path, owner(info))
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("listen: %s has mode %#o, so others could reach the runtime; write SocketMode=0600 into the socket unit", path, info.Mode().Perm())
	}
	return &socket{Listener: listener, path: path}, nil
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// makeParent makes the socket's folder if need be, for its owner only.
func makeParent(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return checkParent(path)
}

// checkParent makes sure that nobody but the owner reaches the socket's folder: whoever can connect
// rules the node. A folder that does not exist is made by makeParent.
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
	case owner(info) != os.Geteuid():
		return fmt.Errorf("listen: %s belongs to another user, who could put a socket of theirs there; use a folder of your own with mode 0700", parent)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("listen: %s has mode %#o, so others could reach the socket; use a folder of its own with mode 0700", parent, info.Mode().Perm())
	}
	return nil
}

// lockFile takes the lock that a running daemon holds for as long as it lives, however it ends. The error
// is errRunning when one does.
func lockFile(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("listen: lock: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // descriptors are small
	if errors.Is(err, unix.EWOULDBLOCK) {
		lock.Close()
		return nil, errRunning
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen: lock %s: %w", path, err)
	}
	return lock, nil
}
