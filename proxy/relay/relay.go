// Package relay answers: how do calls get from the kubelet to the runtime and back, unchanged, at
// little more than the cost of copying their bytes?
//
// It gives every client connection a connection to the runtime of its own and passes HTTP/2 frames
// between the two as they came. It reads along to know which call each frame belongs to, and holds
// the messages of calls that the wire.Guard guards until the guard has said what becomes of them.
// DESIGN.md says why that is safe.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/proxy/wire"
)

const (
	// prefaceTimeout is how long a client may take to begin.
	prefaceTimeout = 10 * time.Second
	// maxObserved bounds a message that is kept to be observed. To be read it keeps the pump waiting.
	maxObserved = 1 << 20
)

// Options of a Relay.
type Options struct {
	// Finished is told of every call after it ended. It may be nil and must not block.
	Finished func(wire.Call)
	// Endless says whether calls of method never end by themselves. Stop ends those first. It may be
	// nil and must be cheap.
	Endless func(method string) bool
	// Unfinished is given a connection to the runtime when Stop cuts its client off while the runtime
	// executes calls on it, which closing the connection would cancel. It must not block. Nothing may
	// be written to the connection. With nil it is closed.
	Unfinished func(runtime net.Conn)
	// ConnectTimeout bounds how long the runtime may take to answer a new connection (default 1s).
	// One that takes longer is treated as if it were not there.
	ConnectTimeout time.Duration
	// RequestTimeout bounds how long a client may take to send a guarded request (default 30s, looked at
	// every second).
	RequestTimeout time.Duration
	Limits         Limits
	// Log may be nil.
	Log logrus.FieldLogger

	retry time.Duration
}

// Limits of what is held of calls, in bytes, and of connections.
type Limits struct {
	Stream     int // default 16 MiB
	Connection int // default 32 MiB
	Total      int // default 64 MiB
	Clients    int // connections of clients, default 256
}

func (o Options) withDefaults() Options {
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, time.Second)
	o.retry = cmp.Or(o.retry, retry)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 30*time.Second)
	o.Limits.Stream = cmp.Or(o.Limits.Stream, 16<<20)
	o.Limits.Connection = cmp.Or(o.Limits.Connection, 32<<20)
	o.Limits.Total = cmp.Or(o.Limits.Total, 64<<20)
	o.Limits.Clients = cmp.Or(o.Limits.Clients, 256)
	if o.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		o.Log = silent
	}
	return o
}

// Relay is a data path between listeners and one runtime.
type Relay struct {
	guard    wire.Guard
	observer wire.Observer // nil when the guard is none
	prompt   wire.Prompt   // the same
	options  Options
	runtime  *watch
	held     atomic.Int64 // bytes kept of calls

	draining chan struct{}   // closed when clients are to leave
	closed   context.Context // done when connections are to be closed
	shut     context.CancelFunc
	serving  sync.WaitGroup // on listeners
	clients  sync.WaitGroup
	watching sync.WaitGroup

	mu        sync.Mutex
	stopped   bool
	listeners map[net.Listener]struct{}
	connected map[*client]struct{} // those that may stay
	warned    time.Time            // of too many clients
}

// New makes a relay to the runtime that listens on the unix socket at runtimeSocket. The runtime need
// not be there: until it is, calls end with Unavailable at once.
func New(runtimeSocket string, guard wire.Guard, options Options) *Relay {
	return newRelay(func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", runtimeSocket)
	}, guard, options)
}

func newRelay(dial func(context.Context) (net.Conn, error), guard wire.Guard, options Options) *Relay {
	options = options.withDefaults()
	r := &Relay{
		guard: guard, options: options, draining: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, connected: map[*client]struct{}{},
		runtime: newWatch(dial, options),
	}
	r.observer, _ = guard.(wire.Observer)
	r.prompt, _ = guard.(wire.Prompt)
	r.closed, r.shut = context.WithCancel(context.Background())
	r.watching.Go(func() { r.runtime.run(r.closed) })
	return r
}

// Connected says whether the runtime could be reached when it was last tried.
func (r *Relay) Connected() bool { return r.runtime.connected() }

// Serve accepts clients until Stop is called, or until listener breaks.
func (r *Relay) Serve(listener net.Listener) error {
	if !r.track(listener) {
		return listener.Close()
	}
	defer r.serving.Done()
	var pause time.Duration
	for {
		conn, err := listener.Accept()
		if err == nil {
			pause = 0
			if !r.begin(newClient(conn, peerProcess(conn))) {
				conn.Close()
			}
			continue
		}
		if r.isStopped() {
			return nil
		}
		if !passing(err) {
			return fmt.Errorf("accept: %w", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		r.options.Log.WithError(err).Warn("cannot accept a connection")
		select {
		case <-time.After(pause):
		case <-r.draining:
		}
	}
}

// passing says whether accepting may work again soon. To give up for want of a descriptor would take
// the node's runtime away.
func passing(err error) bool {
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// track remembers a listener, unless the relay has been stopped.
func (r *Relay) track(listener net.Listener) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.listeners[listener] = struct{}{}
	r.serving.Add(1)
	return true
}

// begin serves a client. One that was accepted in the last moment before Stop is sent away like the
// others: a connection that just closes costs a client its calls.
func (r *Relay) begin(c *client) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Err() != nil || !r.admit(c) {
		return false
	}
	r.clients.Go(func() {
		defer r.left(c)
		r.serve(c)
	})
	return true
}

func (r *Relay) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// Stop takes no more clients, ends endless calls, has clients make those that wait for a decision again
// elsewhere, lets the others finish until ctx ends, and then cuts every client off.
func (r *Relay) Stop(ctx context.Context) {
	r.mu.Lock()
	if !r.stopped {
		r.stopped = true
		for listener := range r.listeners {
			listener.Close()
		}
		close(r.draining) // then: who is sent away must not come back to us
	}
	r.mu.Unlock()
	finished := make(chan struct{})
	go func() {
		r.serving.Wait()
		r.clients.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
	}
	r.shut()
	<-finished
	r.watching.Wait()
}

// serve serves one client.
func (r *Relay) serve(c *client) {
	conn := c.conn
	defer conn.Close()
	free := context.AfterFunc(r.closed, func() { conn.Close() })
	defer free()
	from := newSource(conn)
	_ = conn.SetReadDeadline(time.Now().Add(prefaceTimeout))
	if from.preface() != nil || from.settings() != nil {
		return // no HTTP/2 client, or one that changed its mind
	}
	_ = conn.SetReadDeadline(time.Time{})
	l := newLink(r, c, from)
	settings, err := l.hello()
	if err != nil {
		return
	}
	back := r.runtime.away()
	if back == nil {
		err := r.connect(l, settings)
		if err == nil {
			free() // the link knows better what to close first
			l.run()
			return
		}
		if r.closed.Err() != nil {
			return
		}
		back = r.runtime.lost(err)
	}
	from.start -= len(settings) // whoever answers instead needs them too
	newAbsent(r, c, from).serve(back)
}

// connect gives a link its connection to the runtime, once the runtime begins to speak. Until then it
// hears of nothing but the client's settings, so that calls can still be answered otherwise.
func (r *Relay) connect(l *link, settings []byte) error {
	ctx, cancel := context.WithTimeout(r.closed, r.options.ConnectTimeout)
	defer cancel()
	conn, err := r.runtime.dial(ctx)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(r.options.ConnectTimeout))
	if err := l.meet(conn, settings); err != nil {
		conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errSilent(r.options.ConnectTimeout)
		}
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	return nil
}
