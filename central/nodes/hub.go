package nodes

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portcullis/central/store"
)

// hub is the streams of this replica. A stream takes what is there when it gets to it, so that a slow node
// holds nobody and nothing queues up.
type hub struct {
	// bundle is what all streams send; nil until there is a bundle.
	bundle atomic.Pointer[outgoing]

	mu       sync.Mutex
	streams  map[string]*stream // by node
	verdicts int64              // up to which change streams were told
}

// stream is one node's.
type stream struct {
	wake   chan struct{}
	member atomic.Bool // the database has said so since the stream was opened

	mu     sync.Mutex
	end    error
	images map[string]struct{} // to be told of
	number int64               // of the last change that is to be told of, 0 for none
}

// open begins a node's stream; the one that it had ends. What began and ended is told in that order.
func (h *hub) open(id string, began func()) *stream {
	mine := &stream{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	before := h.streams[id]
	h.streams[id] = mine
	began()
	h.mu.Unlock()
	if before != nil {
		before.finish(errReplaced)
	}
	return mine
}

// close ends a stream. Nothing is told where the node has another already.
func (h *hub) close(id string, mine *stream, ended func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[id] == mine {
		delete(h.streams, id)
		ended()
	}
}

func (h *hub) get(id string) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[id]
}

// hasMember says whether a node has a stream that has not been told to end, as that of a removed node is. Otherwise
// nobody knows.
func (h *hub) hasMember(id string) bool {
	mine := h.get(id)
	return mine != nil && mine.member.Load() && mine.ended() == nil
}

func (h *hub) nodes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.streams))
}

// reported is how many nodes of a replica should say in a second that a bundle is in force: what it takes without being
// slow to others.
const reported = 500

// reportWithin is in which time the nodes of this replica should say that a bundle is in force.
func (h *hub) reportWithin() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Duration(max(1, len(h.streams))) * time.Second / reported
}

func (h *hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.streams {
		s.signal()
	}
}

func (m *stream) signal() {
	select {
	case m.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (m *stream) finish(err error) {
	m.mu.Lock()
	m.end = err
	m.mu.Unlock()
	m.signal()
}

func (m *stream) ended() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.end
}

func (m *stream) tell(ids []string, number int64) {
	m.mu.Lock()
	if m.images == nil {
		m.images = map[string]struct{}{}
	}
	for _, id := range ids {
		m.images[id] = struct{}{}
	}
	m.number = number
	m.mu.Unlock()
	m.signal()
}

func (m *stream) take() (ids []string, number int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids, number = slices.Sorted(maps.Keys(m.images)), m.number
	m.images, m.number = nil, 0
	return ids, number
}

// retry is how long to wait before something that failed is tried again.
const retry = time.Second

// bundlesTopic is notified of every new bundle.
const bundlesTopic = "bundles"

// watch passes changes on to streams until ctx ends.
func (s *Sync) watch(ctx context.Context) {
	bundles, verdicts, removed := s.store.Subscribe(bundlesTopic), s.store.Subscribe(store.VerdictsTopic), s.store.Subscribe(store.RemovedNodesTopic)
	defer bundles.End()
	defer verdicts.End()
	defer removed.End()
	s.insist(ctx, "bundle", s.loadBundle)
	s.insist(ctx, "verdicts", s.loadNumber)
	for {
		select {
		case <-ctx.Done():
			return
		case <-bundles.Ready():
			bundles.Take()
			s.insist(ctx, "bundle", s.loadBundle)
		case <-verdicts.Ready():
			verdicts.Take()
			s.insist(ctx, "verdicts", s.tellVerdicts)
		case <-removed.Ready():
			ids, lost := removed.Take()
			for _, id := range ids {
				s.End(id)
			}
			if lost {
				s.insist(ctx, "removed nodes", s.endRemoved)
			}
		}
	}
}

// insist tries until it works or ctx ends.
func (s *Sync) insist(ctx context.Context, what string, do func(context.Context) error) {
	for {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.options.Log.WithError(err).WithField("what", what).Error("change cannot be passed on to nodes; trying again")
		wait(ctx, retry)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (s *Sync) loadBundle(ctx context.Context) error {
	bundle, err := s.bundles.NewestBundle(ctx)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	before := s.hub.bundle.Load()
	if before != nil && before.held == heldOf(bundle) {
		return nil
	}
	newest, err := newOutgoing(bundle, before, s.hub.reportWithin())
	if err != nil {
		return err
	}
	s.hub.bundle.Store(newest)
	s.hub.wakeAll()
	return nil
}

func (s *Sync) loadNumber(ctx context.Context) error {
	number, err := s.images.VerdictNumber(ctx)
	s.hub.verdicts = number
	return err
}

// tellVerdicts tells the nodes that have images whose verdicts changed, and no others.
func (s *Sync) tellVerdicts(ctx context.Context) error {
	changed, number, err := s.images.Changed(ctx, s.hub.verdicts, s.hub.nodes())
	if err != nil {
		return err
	}
	s.hub.verdicts = number
	for id, images := range changed {
		if stream := s.hub.get(id); stream != nil {
			stream.tell(images, number)
		}
	}
	return nil
}

// End ends the stream of a node that was removed.
func (s *Sync) End(id string) {
	s.news.forget(id)
	if stream := s.hub.get(id); stream != nil {
		stream.finish(errRemoved)
	}
}

// endRemoved ends the streams of nodes that are not members any more.
func (s *Sync) endRemoved(ctx context.Context) error {
	connected := s.hub.nodes()
	var members []string
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		members, err = tx.AreNodes(ctx, connected)
		return err
	})
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, id := range members {
		known[id] = true
	}
	for _, id := range connected {
		if !known[id] {
			s.End(id)
		}
	}
	return nil
}
