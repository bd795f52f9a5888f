package nodes

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"portcullis/central/store"
)

// news is what nodes told this replica and is not written yet. It is written for many nodes at a time: one
// transaction for each word of each of 10,000 nodes would be all that the database does. What is lost
// when central is killed, nodes say again within a minute.
type news struct {
	urgent chan struct{} // there is more than contacts

	mu      sync.Mutex
	pending map[string]*store.NodeNews
	told    map[string]store.NodeStatus // of connected nodes, the last
}

func (n *news) of(id string, now time.Time) *store.NodeNews {
	one := n.pending[id]
	if one == nil {
		one = &store.NodeNews{ID: id}
		n.pending[id] = one
	}
	one.Contact = now
	return one
}

func (n *news) contact(id string, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of(id, now)
}

func (n *news) stream(id string, change store.StreamChange, now time.Time) {
	n.mu.Lock()
	n.of(id, now).Stream = change
	if change == store.StreamEnded {
		delete(n.told, id)
	}
	n.mu.Unlock()
	n.signal()
}

// steady is by how much a clock may move before it is worth writing.
const steady = 2 * time.Second

func (n *news) status(id string, status store.NodeStatus, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.of(id, now)
	before, known := n.told[id]
	if known && (status.ClockSkew-before.ClockSkew).Abs() < steady {
		status.ClockSkew = before.ClockSkew
	}
	if known && before.Equal(&status) {
		return
	}
	n.told[id], one.Status = status, &status
	n.signal()
}

func (n *news) signal() {
	select {
	case n.urgent <- struct{}{}:
	default: // it is told already
	}
}

func (n *news) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pending, id)
	delete(n.told, id)
}

func (n *news) take() []store.NodeNews {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]store.NodeNews, 0, len(n.pending))
	for _, id := range slices.Sorted(maps.Keys(n.pending)) { // replicas lock rows in the same order
		all = append(all, *n.pending[id])
	}
	n.pending = map[string]*store.NodeNews{}
	return all
}

// giveBack is for what could not be written. What came meanwhile is newer.
func (n *news) giveBack(all []store.NodeNews) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range all {
		newer := n.pending[one.ID]
		if newer == nil {
			n.pending[one.ID] = &one
			continue
		}
		if newer.Status == nil {
			newer.Status = one.Status
		}
		if newer.Stream == 0 {
			newer.Stream = one.Stream
		}
	}
}

const (
	// gather is how long news is gathered, and contactsGather when it is contacts only.
	gather         = 500 * time.Millisecond
	contactsGather = 15 * time.Second
	newsAtATime    = 500
)

// writeNews writes what nodes told, until ctx ends and once more then.
func (s *Sync) writeNews(ctx context.Context) {
	for ctx.Err() == nil {
		timer := time.NewTimer(contactsGather)
		select {
		case <-ctx.Done():
		case <-s.news.urgent:
			wait(ctx, gather)
		case <-timer.C:
		}
		timer.Stop()
		s.write(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
	defer cancel()
	s.write(last)
}

// shutdown is how long the last words may take when central stops.
const shutdown = 5 * time.Second

func (s *Sync) write(ctx context.Context) {
	for part := range slices.Chunk(s.news.take(), newsAtATime) {
		err := s.store.Tx(ctx, func(tx *store.Tx) error { return tx.NoteNodes(ctx, s.replica, part) })
		if err != nil {
			s.news.giveBack(part)
			if ctx.Err() == nil {
				s.options.Log.WithError(err).Error("news of nodes cannot be written; trying again")
			}
		}
	}
	if starts := s.starts.take(); len(starts) > 0 {
		if err := s.writeStarts(ctx, starts); err != nil {
			s.options.Log.WithError(err).Warn("starts of containers are not counted")
		}
	}
}

// alive is how often this replica says that it lives.
const alive = 10 * time.Second

// live says that this replica lives, until ctx ends.
func (s *Sync) live(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.store.Tx(ctx, func(tx *store.Tx) error { return tx.ReplicaLives(ctx, s.replica, s.options.Now()) })
		if err != nil && ctx.Err() == nil {
			s.options.Log.WithError(err).Error("nodes of this replica may look silent")
			wait(ctx, retry)
			continue
		}
		wait(ctx, alive)
	}
	ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
	defer cancel()
	if err := s.store.Tx(ended, func(tx *store.Tx) error { return tx.ReplicaEnds(ended, s.replica) }); err != nil {
		s.options.Log.WithError(err).Warn("nodes look connected for a while yet")
	}
}

const (
	tidyInterval = time.Hour
	startsKept   = 7 * 24 * time.Hour
	tokensKept   = 24 * time.Hour
)

// tidy forgets what is too old, until ctx ends.
func (s *Sync) tidy(ctx context.Context) {
	for ctx.Err() == nil {
		now := s.options.Now()
		err := s.store.Tx(ctx, func(tx *store.Tx) error {
			if err := tx.DeleteOldStarts(ctx, now.Add(-startsKept)); err != nil {
				return err
			}
			return tx.DeleteOldJoinTokens(ctx, now.Add(-tokensKept))
		})
		if err != nil && ctx.Err() == nil {
			s.options.Log.WithError(err).Warn("old starts and join tokens are not deleted yet")
		}
		wait(ctx, tidyInterval)
	}
}
