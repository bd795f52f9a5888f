package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listener makes a listener of a listening socket that another process uses as well. net.FileListener
// makes the socket block for a moment, for everybody: the incumbent, accepting just then, would wait in
// the kernel, where closing its listener does not wake it up.
func Listener(file *os.File) (net.Listener, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &listener{file: file, raw: raw}
	var failure error
	err = raw.Control(func(fd uintptr) { l.addr, failure = listening(int(fd)) })
	if err := errors.Join(err, failure); err != nil {
		return nil, err
	}
	return l, nil
}

// listening returns the address of a socket that listens.
func listening(fd int) (net.Addr, error) {
	yes, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, err
	}
	if yes == 0 {
		return nil, errors.New("is a socket that does not listen")
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	switch a := address.(type) {
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}, nil
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}, nil
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}, nil
	}
	return nil, fmt.Errorf("is a socket of the kind %T", address)
}

type listener struct {
	file *os.File
	raw  syscall.RawConn
	addr net.Addr

	closed atomic.Bool
}

func (l *listener) Accept() (net.Conn, error) {
	var accepted int
	var failure error
	err := l.raw.Read(func(fd uintptr) bool {
		accepted, _, failure = unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(failure, unix.EAGAIN)
	})
	if err != nil && l.closed.Load() {
		err = net.ErrClosed
	}
	if err := errors.Join(err, failure); err != nil {
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
	}
	file := os.NewFile(uintptr(accepted), "accepted")
	defer file.Close()
	return net.FileConn(file)
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}

// SyscallConn gives access to the socket, so that it can be handed on.
func (l *listener) SyscallConn() (syscall.RawConn, error) { return l.file.SyscallConn() }
