// Package sweep answers: how is what is too old deleted without anyone having to wait for it?
package sweep

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// every is how often what is too old is looked for.
	every = time.Hour
	// gap leaves the database to others between the pieces of a sweep.
	gap = 50 * time.Millisecond
	// retry is when a sweep that failed goes on, and a start has other things to do first.
	retry = time.Minute
)

// Run deletes what is too old, a little at a time, until ctx ends. some deletes some and says whether there
// is more; what names all of it in the log. Replicas may do so at the same time.
func Run(ctx context.Context, log logrus.FieldLogger, what string, some func(context.Context) (more bool, err error)) {
	again := time.NewTimer(retry)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		more, err := some(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			log.WithError(err).Warnf("old %s could not be deleted; trying again later", what)
			again.Reset(retry)
		case more:
			again.Reset(gap)
		default:
			again.Reset(every)
		}
	}
}
