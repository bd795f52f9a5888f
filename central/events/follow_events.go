package events

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

// maxFollowed is how many events are sent together. Whoever is slower gets the newest.
const maxFollowed = 400

// FollowEvents sends events as they arrive or count on.
func (s *Service) FollowEvents(ctx context.Context, r *portcullisv1.FollowEventsRequest, stream *connect.ServerStream[portcullisv1.FollowEventsResponse]) error {
	f, err := filter(r.GetFilter())
	if err != nil {
		return err
	}
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many follow events already; try again later"))
	}
	told := s.store.Subscribe(store.EventsTopic)
	defer told.End()
	if err := stream.Send(nil); err != nil { // headers: now nothing is missed any more
		return err
	}
	follower := &follower{service: s, filter: f, told: told, since: s.options.Now(), stream: stream}
	for {
		if err := follower.next(ctx); err != nil {
			return err
		}
	}
}

// follower is one who follows events.
type follower struct {
	service *Service
	filter  store.EventFilter
	told    *store.Subscription
	since   time.Time // of the newest that was sent
	stream  *connect.ServerStream[portcullisv1.FollowEventsResponse]
}

// next waits for events and sends them.
func (f *follower) next(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.told.Ready():
	}
	gather := time.NewTimer(f.service.options.FollowGap)
	defer gather.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-gather.C:
	}
	events, err := f.take(ctx)
	if err != nil {
		return err
	}
	for _, e := range events {
		told, err := event(e)
		if err != nil {
			return err
		}
		if err := f.stream.Send(&portcullisv1.FollowEventsResponse{Event: told}); err != nil {
			return err
		}
		if e.Last.After(f.since) {
			f.since = e.Last
		}
	}
	return nil
}

// take reads what has been notified; where some of that is missing, whatever happened since the last.
func (f *follower) take(ctx context.Context) (events []store.Event, err error) {
	payloads, lost := f.told.Take()
	if lost {
		return f.missed(ctx)
	}
	seen := map[string]bool{}
	var ids []string
	for _, payload := range slices.Backward(payloads) {
		for _, id := range strings.Split(payload, ",") {
			if !seen[id] && len(ids) < maxFollowed {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	err = f.service.store.Read(ctx, func(tx *store.Tx) error {
		events, err = tx.EventsOf(ctx, ids, f.filter)
		return err
	})
	return events, err
}

func (f *follower) missed(ctx context.Context) (events []store.Event, err error) {
	filter := f.filter
	if f.since.After(filter.From) {
		filter.From = f.since
	}
	err = f.service.store.Read(ctx, func(tx *store.Tx) error {
		events, _, err = tx.Events(ctx, filter, store.EventOrder{}, nil, maxFollowed, maxTotal)
		return err
	})
	slices.Reverse(events)
	return events, err
}
