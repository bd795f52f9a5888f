package uplink

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// backoff spreads retries: a wait is random below a bound that doubles with each failure, so that nodes which
// lost central together do not come back together.
type backoff struct {
	min, max, bound time.Duration
}

func (b *backoff) next() time.Duration {
	b.bound = min(max(b.min, 2*b.bound), b.max)
	return time.Duration(rand.Int64N(int64(b.bound))) //nolint:gosec // no secret
}

func (b *backoff) reset() { b.bound = 0 }

// minAgain and maxAgain bound how long central may send a node away for.
const (
	minAgain = 100 * time.Millisecond
	maxAgain = 5 * time.Minute
)

// sentAway is how long central wants a node to wait before it calls again (google.rpc.RetryInfo); 0 if it has not said.
func sentAway(err error) time.Duration {
	var told *connect.Error
	if !errors.As(err, &told) {
		return 0
	}
	for _, detail := range told.Details() {
		value, err := detail.Value()
		if info, is := value.(*errdetails.RetryInfo); err == nil && is {
			return min(max(minAgain, info.GetRetryDelay().AsDuration()), maxAgain)
		}
	}
	return 0
}

// repeatAfter is how long to wait before a call that failed is repeated: as central says, or a time by chance.
func (u *Uplink) repeatAfter(err error, retry *backoff) time.Duration {
	if wait := sentAway(err); wait > 0 {
		return wait
	}
	return max(retry.next(), u.bundles.spread())
}

// turn is which of several addresses is tried next, and when: each once soon after the other, and then, when
// all have failed, later and later.
type turn struct {
	addresses []string
	at        int
	failures  int
	hop       time.Duration // bound of the wait for the next address
	retry     backoff
}

func newTurn(addresses []string, times Times) *turn {
	return &turn{
		addresses: addresses, at: rand.IntN(len(addresses)), //nolint:gosec // no secret
		hop: times.RetryMin, retry: backoff{min: times.RetryMin, max: times.RetryMax},
	}
}

func (t *turn) address() string { return t.addresses[t.at] }

// next goes on to the next address after a connection that lasted for so long, 0 for none, and returns how long
// to wait before. After a connection that was of use the others have not failed yet.
func (t *turn) next(lasted time.Duration) time.Duration {
	if lasted > t.retry.bound {
		t.failures = 0
	}
	t.at = (t.at + 1) % len(t.addresses)
	t.failures++
	if t.failures%len(t.addresses) != 0 {
		return time.Duration(rand.Int64N(int64(t.hop))) //nolint:gosec // no secret
	}
	return t.retry.next()
}

func (t *turn) reset() {
	t.failures = 0
	t.retry.reset()
}

// vary returns d give or take half of it.
func vary(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d))) //nolint:gosec // no secret
}

// wait waits for d, for what is sent to early, or for ctx to end.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-early:
	}
}

// wake sends unless something waits already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
