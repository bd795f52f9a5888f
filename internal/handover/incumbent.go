package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Incumbent is what a running process brings to a hand-over.
type Incumbent struct {
	// Lend returns the files by name, and stops writing whatever the successor is going to read. The
	// files stay the incumbent's.
	Lend func() map[string]syscall.Conn
	// Resume undoes Lend: the successor has failed.
	Resume func()
	// Retire follows Lend when the successor serves. It must not wait.
	Retire func()
	Log    logrus.FieldLogger
}

// Listen opens the private socket at path, replacing what an earlier process left there: the caller
// holds a lock that says that nobody else uses it. Closing it leaves the path alone.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // by then it may be the successor's
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// Offer waits for successors until one has taken over, or until ctx ends. Then it closes listener.
func Offer(ctx context.Context, listener *net.UnixListener, incumbent Incumbent) {
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				incumbent.Log.WithError(err).Error("no successor can take over any more")
			}
			return
		}
		err = incumbent.receive(ctx, conn)
		if err == nil {
			incumbent.Retire()
			return
		}
		incumbent.Log.WithError(err).Warn("a process asked for the sockets and has not taken over; this one serves on")
	}
}

func (i *Incumbent) receive(ctx context.Context, conn *net.UnixConn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	p, err := identified(conn)
	if err != nil {
		return err
	}
	if _, _, err := p.expect(takeOver); err != nil {
		_ = p.send(message{Step: refuse, Reason: err.Error()}) // it need not be one that understands
		return err
	}
	if err := p.handOver(i.Lend()); err != nil {
		i.Resume()
		return err
	}
	return nil
}

func (p *peer) handOver(files map[string]syscall.Conn) error {
	if err := p.give(files); err != nil {
		return err
	}
	if _, _, err := p.expect(ready); err != nil {
		return err
	}
	if err := p.send(message{Step: yours}); err != nil {
		return err
	}
	if _, _, err := p.expect(serving); err != nil {
		return err
	}
	return p.send(message{Step: farewell})
}

func (p *peer) give(files map[string]syscall.Conn) error {
	m := message{Step: give}
	var copies []int
	defer func() {
		for _, fd := range copies {
			_ = unix.Close(fd) // nothing was written
		}
	}()
	for name, file := range files {
		fd, err := duplicate(file)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Files, copies = append(m.Files, name), append(copies, fd)
	}
	return p.send(m, copies...)
}

// duplicate copies a descriptor. (os.File's Fd would make the socket block, here and wherever else it
// is used.)
func duplicate(file syscall.Conn) (int, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	duplicate, failure := -1, error(nil)
	err = raw.Control(func(fd uintptr) { duplicate, failure = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return duplicate, errors.Join(err, failure)
}
