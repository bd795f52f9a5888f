package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// notifyChannel is the one channel of PostgreSQL that everything goes over.
const notifyChannel = "portcullis"

// maxPayload is what PostgreSQL takes, the topic included.
const maxPayload = 7_900

// maxQueue bounds what a subscriber that does not look leaves behind.
const maxQueue = 1_000

type change struct{ topic, payload string }

func (c change) encode() string { return c.topic + ":" + c.payload }

func decodeChange(text string) change {
	topic, payload, _ := strings.Cut(text, ":")
	return change{topic, payload}
}

// Notify tells the topic's subscribers, of all replicas, when the transaction is committed. A topic is
// one word; a payload has at most 7,900 bytes: say what changed, not what it is now.
func (tx *Tx) Notify(topic, payload string) { tx.notify = append(tx.notify, change{topic, payload}) }

func (tx *Tx) sendNotifications(ctx context.Context) error {
	for _, c := range tx.notify {
		text := c.encode()
		if len(text) > maxPayload {
			return fmt.Errorf("notification of %s is %d bytes, at most %d can be sent", c.topic, len(text), maxPayload)
		}
		if tx.dialect == sqlite {
			continue
		}
		if _, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", notifyChannel, text); err != nil {
			return err
		}
	}
	return nil
}

// changes hands what was notified to the subscribers of this process.
type changes struct {
	source func() // starts to take in what other replicas notify; nil on SQLite

	mu            sync.Mutex
	subscriptions map[string]map[*Subscription]struct{} // by topic
}

func newChanges() *changes { return &changes{subscriptions: map[string]map[*Subscription]struct{}{}} }

func (s *Store) listen() {
	if s.changes.source != nil {
		s.changes.source()
	}
}

func (c *changes) deliver(all ...change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range all {
		for s := range c.subscriptions[one.topic] {
			s.add(one.payload)
		}
	}
}

// lose tells every subscriber that it may have missed something.
func (c *changes) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, topic := range c.subscriptions {
		for s := range topic {
			s.lose()
		}
	}
}

// Subscription gathers what is notified of one topic until it is taken.
type Subscription struct {
	ready chan struct{}
	end   func()

	mu       sync.Mutex
	payloads []string
	lost     bool
}

// Subscribe begins to gather what is notified of topic. End must be called.
func (s *Store) Subscribe(topic string) *Subscription {
	c := s.changes
	subscription := &Subscription{ready: make(chan struct{}, 1)}
	subscription.end = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscriptions[topic], subscription)
		if len(c.subscriptions[topic]) == 0 {
			delete(c.subscriptions, topic)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subscriptions[topic] == nil {
		c.subscriptions[topic] = map[*Subscription]struct{}{}
	}
	c.subscriptions[topic][subscription] = struct{}{}
	return subscription
}

// Ready receives when there is something to take.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Take returns the payloads since the last Take. Where lost is true some may be missing, and the
// subscriber looks at everything that it watches.
func (s *Subscription) Take() (payloads []string, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	payloads, lost = s.payloads, s.lost
	s.payloads, s.lost = nil, false
	return payloads, lost
}

// End ends the subscription.
func (s *Subscription) End() { s.end() }

func (s *Subscription) add(payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lost {
		s.payloads = append(s.payloads, payload)
	}
	if len(s.payloads) > maxQueue {
		s.payloads, s.lost = nil, true
	}
	s.signal()
}

func (s *Subscription) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payloads, s.lost = nil, true
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.ready <- struct{}{}:
	default: // it is told already
	}
}
