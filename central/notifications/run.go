package notifications

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"portcullis/central/store"
)

const (
	// lookAgain is how often channels are looked at of which nobody said anything: their next attempt or
	// their window is due, or another replica died while it was sending.
	lookAgain = 5 * time.Second
	// gather lets new events that come together be told together.
	gather = time.Second
	// lease is longer than an attempt takes.
	lease = time.Minute
	// maxRetry is how long an attempt waits at most, and giveUp how long attempts go on.
	maxRetry = 10 * time.Minute
	giveUp   = 24 * time.Hour
	// maxSending is how many channels are sent to at the same time.
	maxSending = 8
)

// Run sends until ctx ends. Each replica runs it.
func (s *Service) Run(ctx context.Context) {
	events, changes := s.store.Subscribe(store.EventsTopic), s.store.Subscribe(topic)
	defer events.End()
	defer changes.End()
	timer := time.NewTimer(0)
	defer timer.Stop()
	all := &senders{places: make(chan struct{}, maxSending)}
	defer all.running.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events.Ready():
			_, _ = events.Take() // the database has what there is to tell
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		case <-changes.Ready():
			_, _ = changes.Take()
		case <-timer.C:
		}
		s.start(ctx, all)
		timer.Reset(lookAgain)
	}
}

// senders send at the same time, so that nobody waits for a slow channel.
type senders struct {
	places  chan struct{}
	running sync.WaitGroup
}

// start lets one more send whatever is due, if there is a place.
func (s *Service) start(ctx context.Context, all *senders) {
	select {
	case all.places <- struct{}{}:
		all.running.Go(func() {
			s.sendAll(ctx, func() { s.start(ctx, all) })
			<-all.places
		})
	default: // the others will look, too
	}
}

// sendAll sends whatever is due. It calls another before it sends to a channel: not all look for one at the same moment,
// because the database would let only one of them have it.
func (s *Service) sendAll(ctx context.Context, another func()) {
	for ctx.Err() == nil {
		sent, err := s.sendNext(ctx, another)
		if err != nil && ctx.Err() == nil {
			s.options.Log.WithError(err).Warn("notifications cannot be looked up; trying again")
		}
		if err != nil || !sent {
			return
		}
	}
}

// sendNext serves one channel, and says whether there was one.
func (s *Service) sendNext(ctx context.Context, another func()) (bool, error) {
	now := s.options.Now()
	var c store.Channel
	err := s.store.Tx(ctx, func(tx *store.Tx) (err error) {
		c, err = tx.LeaseChannel(ctx, now, now.Add(lease))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	another()
	delivered, err := s.serve(ctx, &c, now)
	if err != nil {
		return false, err
	}
	// Central may be about to stop, but the channel took it: to forget that would be to tell it twice.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return true, s.store.Tx(ctx, func(tx *store.Tx) error {
		if delivered != "" {
			if err := tx.EndDelivery(ctx, c.Name, delivered); err != nil {
				return err
			}
		}
		return tx.ReleaseChannel(ctx, c)
	})
}

// serve tells the channel what there is, notes in c how it went, and returns the delivery that is over.
func (s *Service) serve(ctx context.Context, c *store.Channel, now time.Time) (delivered string, err error) {
	settings, err := channel(*c)
	if err != nil {
		return "", err
	}
	next, err := opens(settings, now)
	if err != nil || !next.IsZero() {
		c.Next = next
		return "", err
	}
	var d store.Delivery
	err = s.store.Tx(ctx, func(tx *store.Tx) (err error) {
		d, err = tx.BeginDelivery(ctx, *c, maxTold)
		return err
	})
	if err != nil || d.Total == 0 {
		return d.ID, err
	}
	n, err := newNotification(d)
	if err != nil {
		return "", err
	}
	if err := s.send(ctx, *c, n); ctx.Err() != nil && err != nil {
		return "", nil // central is stopping, which is not the target's fault
	} else if err != nil {
		return s.failed(c, d, err, now), nil
	}
	s.sent.WithLabelValues("sent").Inc()
	c.LastSuccess, c.LastError, c.Failures, c.FailingSince, c.Next = now, "", 0, time.Time{}, time.Time{}
	return d.ID, nil
}

// failed says when to try again. What nobody took for a day is given up, so that what is new is told.
func (s *Service) failed(c *store.Channel, d store.Delivery, err error, now time.Time) (over string) {
	log := s.options.Log.WithError(err).WithField("channel", c.Name)
	if c.FailingSince.IsZero() {
		c.FailingSince = now
	}
	c.Failures++
	c.LastError = err.Error()
	wait := min(maxRetry, s.options.Retry<<min(c.Failures-1, 16))
	c.Next = now.Add(wait/2 + rand.N(wait/2)) //nolint:gosec // G404: jitter is no secret
	if now.Sub(c.FailingSince) < giveUp {
		s.sent.WithLabelValues("failed").Inc()
		log.WithField("next", c.Next).Warn("notification could not be sent; trying again")
		return ""
	}
	s.sent.WithLabelValues("given_up").Inc()
	c.FailingSince = time.Time{}
	c.LastError = fmt.Sprintf("%d events were not told, after trying for %s: %s", d.Total, giveUp, c.LastError)
	log.WithField("events", d.Total).Error("notification given up")
	return d.ID
}
