package relay

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/net/http2"
)

// retry is how often an absent runtime is looked for. Service is back that soon after it returns.
const retry = 100 * time.Millisecond

// watch knows whether the runtime can be reached: whether it takes a connection and begins to speak.
// A runtime that hangs does not, although the kernel takes connections for it.
type watch struct {
	dial     func(context.Context) (net.Conn, error)
	patience time.Duration
	retry    time.Duration
	log      logrus.FieldLogger
	doubts   chan struct{}

	mu      sync.Mutex
	reached bool
	back    chan struct{} // closed when the runtime is back; nil while it is not known to be away
}

func newWatch(dial func(context.Context) (net.Conn, error), options Options) *watch {
	return &watch{dial: dial, patience: options.ConnectTimeout, retry: options.retry, log: options.Log, doubts: make(chan struct{}, 1)}
}

// run looks once, whenever there is doubt, and as long as the runtime is away.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.look(ctx)
		var again <-chan time.Time
		if w.away() != nil {
			again = time.After(w.retry)
		}
		select {
		case <-ctx.Done():
		case <-again:
		case <-w.doubts:
		}
	}
}

// look connects as a client would. It does not give up on a runtime that hangs, for to try again
// would only add to the connections that it finds when it wakes up.
func (w *watch) look(ctx context.Context) {
	conn, err := w.dial(ctx)
	if err != nil {
		w.lost(err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	impatient := time.AfterFunc(w.patience, func() { w.lost(errSilent(w.patience)) })
	err = greet(conn, encode(func(f *http2.Framer) { _ = f.WriteSettings() }))
	if err == nil {
		err = newSource(conn).settings()
	}
	if impatient.Stop(); err != nil {
		if ctx.Err() == nil {
			w.lost(err)
		}
		return
	}
	w.found()
}

func errSilent(patience time.Duration) error {
	return fmt.Errorf("the runtime takes connections but says nothing for %s", patience)
}

// greet says what a client says first.
func greet(conn net.Conn, settings []byte) error {
	_, err := conn.Write(append([]byte(http2.ClientPreface), settings...))
	return err
}

// doubt asks for a look soon.
func (w *watch) doubt() {
	select {
	case w.doubts <- struct{}{}:
	default:
	}
}

// away is closed when the runtime is back, and nil while the runtime is not known to be away.
func (w *watch) away() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.back
}

// connected says whether the runtime could be reached when it was last tried.
func (w *watch) connected() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached
}

// lost notes that the runtime cannot be reached, and returns what away does.
func (w *watch) lost(err error) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.back == nil {
		w.back = make(chan struct{})
		w.reached = false
		w.log.WithError(err).Warn("the container runtime is away; calls get Unavailable until it is back")
		w.doubt()
	}
	return w.back
}

func (w *watch) found() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = true
	if w.back != nil {
		close(w.back)
		w.back = nil
		w.log.Info("the container runtime is back")
	}
}
