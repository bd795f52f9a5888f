package events

import (
	"context"
	"time"
)

const (
	// sweepEvery is how often events that are too old are looked for.
	sweepEvery = time.Hour
	// sweepGap leaves the database to others between the pieces of a sweep.
	sweepGap = 50 * time.Millisecond
)

// Run deletes what is too old, a little at a time, until ctx ends. Replicas may do so at the same time.
func (s *Service) Run(ctx context.Context) {
	again := time.NewTimer(time.Minute) // a start has other things to do
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		again.Reset(s.sweep(ctx))
	}
}

// sweep deletes some of what is too old, and says when to go on.
func (s *Service) sweep(ctx context.Context) time.Duration {
	now := s.options.Now()
	deleted, more, err := s.store.SweepEvents(ctx, now.Add(-s.options.Retention), now)
	s.swept.Add(float64(deleted))
	switch {
	case err != nil && ctx.Err() == nil:
		s.options.Log.WithError(err).Warn("old events could not be deleted; trying again later")
		return time.Minute
	case more:
		return sweepGap
	}
	return sweepEvery
}
