package scanner

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"portcullis/scanner-client/verdict"
)

// ErrUnreadable says that something is known of an image but cannot be read. It is about the image: the
// source works, and a Chain goes on asking it.
var ErrUnreadable = errors.New("report cannot be read")

// ErrResting says that a source was not asked because it has failed too often a moment ago.
var ErrResting = errors.New("source is left alone after repeated failures")

// breaker keeps a source that fails from being asked by everybody all the time: after some failures in a
// row it is left alone for a while, and then one question at a time finds out whether it is back.
type breaker struct {
	failures int
	rest     time.Duration
	now      func() time.Time

	mu      sync.Mutex
	inARow  int
	last    error
	until   time.Time
	probing bool
	counts  SourceStats
}

func (b *breaker) allow() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inARow < b.failures {
		return nil
	}
	if b.probing || b.now().Before(b.until) {
		return fmt.Errorf("%w; the last was: %w", ErrResting, b.last)
	}
	b.probing = true
	return nil
}

// record takes the answer to a question that was allowed. A question that was abandoned says nothing
// about the source.
func (b *breaker) record(v *verdict.Verdict, err error, abandoned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	failed := err != nil && !errors.Is(err, ErrUnscanned)
	switch {
	case failed && abandoned:
		return
	case failed:
		b.counts.Failed++
	case v != nil:
		b.counts.Found++
	default:
		b.counts.Unscanned++
	}
	if !failed || errors.Is(err, ErrUnreadable) || errors.Is(err, ErrPending) {
		b.inARow = 0
		return
	}
	b.inARow++
	b.last, b.until = err, b.now().Add(b.rest)
}

func (b *breaker) stats() SourceStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	stats := b.counts
	stats.Resting = b.inARow >= b.failures
	return stats
}
