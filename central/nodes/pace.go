package nodes

import (
	"maps"
	"math/rand/v2"
	"time"
)

const (
	// firstInterval is what is taken for the interval while nobody knows, and shortestInterval what it is at least.
	firstInterval    = 2 * time.Millisecond
	shortestInterval = 100 * time.Microsecond
	// maxAgain is the longest that a caller is sent away for. What is known by then is better than an estimate of now, when
	// all come at once and central is busy sending them away.
	maxAgain = 20 * time.Second
	// sweepPlaces is how often it is looked for places that nobody came for.
	sweepPlaces = time.Second
)

// pace sends callers away for so long that they come again one after another, as fast as others leave. By chance alone
// some would come while all places are taken, and be sent away many times, and others find nobody there.
type pace struct {
	interval time.Duration // between two that leave while others wait, a running mean
	slowest  time.Duration // that it is taken for
	last     time.Time     // when one left, and others waited

	next   time.Time            // the last place that was given
	places map[string]time.Time // when nodes are to come again that have not yet; one that calls all the time has one, too
	swept  time.Time
}

// left is told that a caller was served, and whether others wait.
func (p *pace) left(now time.Time, others bool) {
	switch {
	case !p.last.IsZero():
		p.interval += (now.Sub(p.last) - p.interval) / 16
		p.interval = min(max(p.interval, shortestInterval), p.slowest)
	case !others && p.interval > firstInterval: // it could go faster
		p.interval -= p.interval / 64
	}
	p.last = time.Time{}
	if others {
		p.last = now
	}
}

// again is how long a node is sent away for: until half of those who wait are gone, and those who were sent away before it
// have come, which takes no longer than for all of them at the present pace.
func (p *pace) again(node string, now time.Time, waiting int) time.Duration {
	if place := p.places[node]; now.Before(place) {
		return place.Sub(now)
	}
	p.sweep(now)
	first := now.Add(p.interval * time.Duration(waiting/2))
	last := first.Add(p.interval * time.Duration(len(p.places)))
	if p.next.Before(first) {
		p.next = first
	}
	if p.next.After(last) {
		p.next = last
	}
	p.next = p.next.Add(p.interval)
	wait := p.next.Sub(now)
	if wait > maxAgain {
		wait = maxAgain/2 + rand.N(maxAgain/2) //nolint:gosec // G404: jitter is no secret
	}
	p.places[node] = now.Add(wait)
	return wait
}

// sweep drops places that nobody came for.
func (p *pace) sweep(now time.Time) {
	if now.Sub(p.swept) < sweepPlaces {
		return
	}
	p.swept = now
	maps.DeleteFunc(p.places, func(_ string, place time.Time) bool { return !now.Before(place) })
}
