package node

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"portcullis/internal/handover"
)

// seat is what only one process on a node can have. It comes from the kernel, from systemd, or from the
// process that has it now.
type seat struct {
	lock    *os.File
	socket  *socket
	metrics net.Listener // nil when no metrics are served

	private     *net.UnixListener   // where a successor asks; nil under systemd
	predecessor *handover.Successor // nil when nobody has handed over
}

// Names under which a seat's files are handed over. A successor of any version must know the first two.
const (
	lockName    = "lock"
	socketName  = "socket"
	metricsName = "metrics " // and the address as configured
)

func lockPath(listen string) string    { return listen + ".lock" }
func privatePath(listen string) string { return listen + ".handover" }

// take takes the seat. On an error nothing is left behind.
func take(config Config, options Options) (*seat, error) {
	if options.TakeOver && options.Activated != nil {
		return nil, errors.New("take over: systemd holds the socket, so there is nothing to take over; leave out --take-over and use systemctl restart portcullisd")
	}
	s := &seat{}
	if err := s.take(config, options); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *seat) take(config Config, options Options) error {
	if err := makeParent(config.Listen); err != nil {
		return err
	}
	var err error
	s.lock, err = lockFile(lockPath(config.Listen))
	switch {
	case errors.Is(err, errRunning) && options.TakeOver:
		err = s.inherit(config)
	case errors.Is(err, errRunning):
		return fmt.Errorf("listen: %w (it holds %s); stop it first, or have this one take over with --take-over", err, lockPath(config.Listen))
	case err == nil:
		err = s.open(config, options)
	}
	if err != nil {
		return err
	}
	if s.metrics == nil && config.Metrics.Address != "" {
		if s.metrics, err = net.Listen("tcp", config.Metrics.Address); err != nil {
			return fmt.Errorf("metrics.address: %w", err)
		}
	}
	return nil
}

// open takes the socket when nobody runs.
func (s *seat) open(config Config, options Options) error {
	var err error
	if options.Activated != nil {
		s.socket, err = activated(config.Listen, options.Activated)
		return err
	}
	if s.socket, err = listen(config.Listen); err != nil {
		return err
	}
	return s.listenForSuccessors()
}

func (s *seat) listenForSuccessors() error {
	var err error
	if s.private, err = handover.Listen(privatePath(s.socket.path)); err != nil {
		return fmt.Errorf("hand-over: %w", err)
	}
	return nil
}

// inherit has the process that runs lend its files.
func (s *seat) inherit(config Config) error {
	var err error
	s.predecessor, err = handover.Ask(privatePath(config.Listen))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("take over: %w and hands nothing over: systemd holds its socket (systemctl restart portcullisd loses nothing), it is stopping, or it is too old (stop it first)", errRunning)
	}
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	for name, file := range s.predecessor.Files {
		if err := s.accept(name, file, config); err != nil {
			return fmt.Errorf("take over: %s: %w", name, err)
		}
	}
	if s.lock == nil || s.socket == nil {
		return errors.New("take over: the running portcullisd has not handed over its socket and its lock; stop it first")
	}
	return nil
}

// accept puts one file in its place. What this process has no use for it closes.
func (s *seat) accept(name string, file *os.File, config Config) error {
	switch name {
	case lockName:
		s.lock = file
	case socketName:
		listener, err := handover.Listener(file)
		if err != nil {
			return err
		}
		s.socket = &socket{Listener: listener, path: config.Listen}
		if address := listener.Addr().String(); address != config.Listen {
			return fmt.Errorf("it listens on %s, the configuration says %s; write the same", address, config.Listen)
		}
	case metricsName + config.Metrics.Address:
		var err error
		s.metrics, err = handover.Listener(file)
		return err
	default:
		return file.Close()
	}
	return nil
}

// own makes an inherited seat this process's own: who had it has read that we are ready, and writes no
// state any more.
func (s *seat) own() error {
	if s.predecessor == nil {
		return nil
	}
	if err := s.predecessor.Ready(); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}

// dismiss sends the predecessor, if there is one, into retirement.
func (s *seat) dismiss() error {
	if s.predecessor == nil {
		return nil
	}
	if err := s.predecessor.Serving(); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	s.predecessor = nil
	s.socket.ours.Store(true)
	return nil
}

// lend returns what a successor needs. From now on, and until keep, closing the socket leaves its path.
func (s *seat) lend(config Config) map[string]syscall.Conn {
	s.socket.ours.Store(false)
	files := map[string]syscall.Conn{lockName: s.lock, socketName: s.socket}
	if s.metrics != nil {
		files[metricsName+config.Metrics.Address] = s.metrics.(syscall.Conn)
	}
	return files
}

// keep undoes lend.
func (s *seat) keep() { s.socket.ours.Store(true) }

// close gives the seat up, the lock last.
func (s *seat) close() error {
	var all []io.Closer
	if s.predecessor != nil {
		all = append(all, s.predecessor)
	}
	if s.private != nil {
		all = append(all, s.private)
	}
	if s.metrics != nil {
		all = append(all, s.metrics)
	}
	if s.socket != nil {
		all = append(all, s.socket)
	}
	if s.lock != nil {
		all = append(all, s.lock)
	}
	var failures []error
	for _, c := range all {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}
