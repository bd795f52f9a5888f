package centralapp

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

const (
	// handshakes is how many are worked at. After a start thousands of nodes come at once: with all of them begun,
	// none would be done before the first gives up.
	handshakes = 32
	// handshakeTurn is how long one may keep the next waiting: a caller that says nothing must not keep nodes out.
	handshakeTurn = 250 * time.Millisecond
	// handshakeWait is how long one waits for its turn. Nodes give up after 30 s.
	handshakeWait = 25 * time.Second
)

var errCrowded = errors.New("too many handshakes at a time")

// entrance lets handshakes begin in the order in which they came.
type entrance struct{ slots chan struct{} }

func newEntrance() *entrance { return &entrance{make(chan struct{}, handshakes)} }

// guard makes connections with the configuration wait for their turn.
func (e *entrance) guard(config *tls.Config) *tls.Config {
	guarded := config.Clone()
	guarded.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		leave, err := e.enter()
		if err != nil {
			return nil, err
		}
		mine := config.Clone()
		mine.VerifyConnection = func(state tls.ConnectionState) error { // almost the last that is done
			defer leave()
			return config.VerifyConnection(state)
		}
		return mine, nil
	}
	return guarded
}

// enter waits for a turn, and returns what ends it. It ends by itself soon.
func (e *entrance) enter() (leave func(), err error) {
	timer := time.NewTimer(handshakeWait)
	defer timer.Stop()
	select {
	case e.slots <- struct{}{}: // who waits at a channel is served in the order of coming
		end := sync.OnceFunc(func() { <-e.slots })
		turn := time.AfterFunc(handshakeTurn, end)
		return func() { turn.Stop(); end() }, nil
	case <-timer.C:
		return nil, errCrowded
	}
}
