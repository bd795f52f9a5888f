package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	lru "github.com/hashicorp/golang-lru/v2"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
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
	user := access.From(ctx).Name
	if err := s.followers.come(user); err != nil {
		return err
	}
	defer s.followers.leave(user)
	now := s.options.Now()
	told := s.store.Subscribe(store.EventsTopic)
	defer told.End()
	if err := stream.Send(nil); err != nil { // headers: now nothing is missed any more
		return err
	}
	follower := &follower{service: s, filter: f, told: told, read: now, took: now, stream: stream}
	if follower.sent, err = lru.New[string, int64](2 * maxFollowed); err != nil {
		return err
	}
	for {
		if err := follower.next(ctx); err != nil {
			return err
		}
	}
}

const (
	// maxFollowers bounds how many follow events at a time on one replica, and maxOfUser how many of them are one user: one
	// who does not read holds a place as long as the connection lasts.
	maxFollowers = 200
	maxOfUser    = 20
)

// followers counts those who follow events.
type followers struct {
	mu     sync.Mutex
	all    int
	ofUser map[string]int
}

func (f *followers) come(user string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ofUser[user] == maxOfUser:
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("you follow events %d times already; end one of them first", maxOfUser))
	case f.all == maxFollowers:
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many follow events already; try again later"))
	}
	f.all++
	f.ofUser[user]++
	return nil
}

func (f *followers) leave(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all--
	if f.ofUser[user]--; f.ofUser[user] == 0 {
		delete(f.ofUser, user)
	}
}

// follower is one who follows events.
type follower struct {
	service *Service
	filter  store.EventFilter
	told    *store.Subscription
	read    time.Time                 // all that arrived before is read
	took    time.Time                 // when it last looked at what it was told
	sent    *lru.Cache[string, int64] // counts of events
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
		if err := f.send(e); err != nil {
			return err
		}
	}
	return nil
}

// send sends the event, unless it was sent with this count.
func (f *follower) send(e store.Event) error {
	if count, known := f.sent.Get(e.ID); known && count == e.Count {
		return nil
	}
	told, err := event(e)
	if err != nil {
		return err
	}
	if err := f.stream.Send(&portcullisv1.FollowEventsResponse{Event: told}); err != nil {
		return err
	}
	f.sent.Add(e.ID, e.Count)
	return nil
}

// take reads what has been notified; where some of that is missing, whatever may have arrived since all was read.
func (f *follower) take(ctx context.Context) (events []store.Event, err error) {
	now := f.service.options.Now()
	payloads, lost := f.told.Take()
	switch {
	case lost:
		events, err = f.missed(ctx)
		f.read, f.took = now, now
		return events, err
	case len(payloads) > 0: // so that nothing was missing when it looked before
		f.read, f.took = f.took, now
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

// arriving is how long before it is committed, by the clock of any replica, an event may have got its ID, and a decision
// that was uploaded at once may have been made.
const arriving = 2 * time.Minute

// missed reads what may have arrived since all was read: events that are new, however late they were uploaded, and those that
// counted on. One that counted on late is missed, because only the time of its last decision is kept.
func (f *follower) missed(ctx context.Context) ([]store.Event, error) {
	since := f.read.Add(-arriving)
	lately := f.filter
	if since.After(lately.From) {
		lately.From = since
	}
	var all, counted []store.Event
	err := f.service.store.Read(ctx, func(tx *store.Tx) (err error) {
		if all, err = tx.NewEvents(ctx, f.filter, since, maxFollowed); err != nil {
			return err
		}
		counted, _, err = tx.Events(ctx, lately, store.EventOrder{}, nil, maxFollowed, maxTotal)
		return err
	})
	all = append(all, counted...) // those that are in both are sent once
	slices.SortStableFunc(all, func(a, b store.Event) int { return a.Last.Compare(b.Last) })
	return all, err
}
