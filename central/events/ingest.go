package events

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	maxDecisions = 1000 // in one upload
	maxSpool     = 128  // bytes of a spool's name
	// maxQueue bounds the uploads that wait, and maxWaiting their decisions. A node whose upload is refused
	// keeps it and tries again.
	maxQueue   = 1024
	maxWaiting = 64 * maxDecisions
	// maxGroup bounds the uploads that one transaction counts, and maxTogether their decisions: many nodes
	// that have little to tell wait for the disk once.
	maxGroup    = 128
	maxTogether = 8 * maxDecisions
	// sharedWriters is how many transactions count at a time where the database takes more than one.
	sharedWriters = 2
)

// upload is a batch that waits to be counted.
type upload struct {
	batch store.Batch
	cost  int // of its node's allowance, which it gets back if it is not counted
	done  chan counted
}

type counted struct {
	through int64
	err     error
}

// Ingest counts what a node uploaded and returns up to which record central has the spool. Of a
// decision that makes no sense it takes note and goes on: it would come again for ever.
func (s *Service) Ingest(ctx context.Context, nodeID string, request *portcullisv1.UploadDecisionsRequest) (int64, error) {
	if err := checkUpload(request); err != nil {
		return 0, err
	}
	node, err := s.options.Nodes.EventNode(ctx, nodeID)
	if err != nil {
		return 0, fmt.Errorf("node %s: %w", nodeID, err)
	}
	price := cost(request)
	if err := s.allow(&node, price, len(request.GetDecisions())); err != nil {
		return 0, err
	}
	batch, refused, why := s.batch(node, request)
	known, err := s.count(ctx, &upload{batch: batch, cost: price, done: make(chan counted, 1)})
	if err != nil || known != batch.Through {
		return known, err
	}
	if refused > 0 {
		s.decisions.WithLabelValues("refused").Add(float64(refused))
		s.options.Log.WithError(why).WithFields(logrus.Fields{"node": nodeID, "refused": refused}).Warn("decisions of a node make no sense and were left out")
	}
	return known, nil
}

// allow takes an upload of decisions out of what its node may tell.
func (s *Service) allow(node *store.EventNode, cost, decisions int) error {
	tell, err := s.allowances.take(node.ID, cost, s.options.Now())
	if err != nil {
		s.decisions.WithLabelValues("postponed").Add(float64(decisions))
	}
	if tell {
		s.options.Log.WithFields(logrus.Fields{"node": node.ID, "name": node.Name}).
			Warn("a node tells of more decisions than are taken of one; it keeps the others for later. See which pods there are blocked again and again")
	}
	return err
}

// batch reads an upload; why is the reason of one that was refused.
func (s *Service) batch(node store.EventNode, request *portcullisv1.UploadDecisionsRequest) (b store.Batch, refused int, why error) {
	b = store.Batch{Node: node, Spool: request.GetSpool(), After: request.GetAfter(), Through: request.GetThrough()}
	for i, folded := range request.GetDecisions() {
		d, err := decision(folded, s.options.Now())
		if err != nil {
			refused++
			why = fmt.Errorf("decision %d: %w", i, err)
			continue
		}
		b.Decisions = append(b.Decisions, d)
	}
	return b, refused, why
}

func checkUpload(r *portcullisv1.UploadDecisionsRequest) error {
	var problems []*portcullisv1.FieldProblem
	if r.GetSpool() == "" || len(r.GetSpool()) > maxSpool {
		problems = append(problems, rpc.Problem("spool", "has %d bytes; name the spool by 1 to %d", len(r.GetSpool()), maxSpool))
	}
	if r.GetAfter() < 0 || r.GetThrough() < r.GetAfter() {
		problems = append(problems, rpc.Problem("through", "%d is not a record after %d", r.GetThrough(), r.GetAfter()))
	}
	if n := len(r.GetDecisions()); n > maxDecisions || int64(n) > r.GetThrough()-r.GetAfter() {
		problems = append(problems, rpc.Problem("decisions", "are %d; send at most %d, and no more than records", n, maxDecisions))
	}
	if problems != nil {
		return rpc.Invalid(problems...)
	}
	return nil
}

// count waits until the upload is counted, together with others that are waiting. It is counted also if ctx ends before.
func (s *Service) count(ctx context.Context, u *upload) (int64, error) {
	s.mu.Lock()
	if len(s.queue) >= maxQueue || s.waiting+len(u.batch.Decisions) > maxWaiting {
		s.mu.Unlock()
		s.allowances.giveBack(u, s.options.Now())
		return 0, connect.NewError(connect.CodeUnavailable, errors.New("central is counting the decisions of other nodes; try again later"))
	}
	s.queue = append(s.queue, u)
	s.waiting += len(u.batch.Decisions)
	if s.writers < s.maxWriters() {
		s.writers++
		s.writing.Go(s.write)
	}
	s.mu.Unlock()
	select {
	case c := <-u.done:
		return c.through, c.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (s *Service) maxWriters() int {
	if s.store.Shared() {
		return sharedWriters
	}
	return 1
}

// write counts until nothing is waiting. No upload's context counts: the transaction is everyone's.
func (s *Service) write() {
	for {
		s.mu.Lock()
		group := s.nextGroup()
		if len(group) == 0 {
			s.queue = nil
			s.writers--
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.writeGroup(group)
	}
}

// nextGroup takes the first uploads out of the queue; s.mu is locked.
func (s *Service) nextGroup() []*upload {
	size, decisions := 0, 0
	for _, u := range s.queue[:min(len(s.queue), maxGroup)] {
		if size > 0 && decisions+len(u.batch.Decisions) > maxTogether {
			break
		}
		size++
		decisions += len(u.batch.Decisions)
	}
	group := s.queue[:size]
	s.queue, s.waiting = s.queue[size:], s.waiting-decisions
	return group
}

func (s *Service) writeGroup(group []*upload) {
	batches := make([]store.Batch, len(group))
	for i, u := range group {
		batches[i] = u.batch
	}
	through, err := s.store.AddDecisions(context.Background(), s.options.Now(), batches)
	if err != nil && len(group) > 1 && !errors.Is(err, store.ErrUnavailable) {
		for _, u := range group { // one may be at fault, and the others are not to suffer for it
			s.writeGroup([]*upload{u})
		}
		return
	}
	for i, u := range group {
		told := counted{err: err}
		if err == nil {
			told.through = through[i]
		}
		if err == nil && told.through == u.batch.Through {
			s.decisions.WithLabelValues("counted").Add(float64(total(u.batch)))
		} else {
			s.allowances.giveBack(u, s.options.Now())
		}
		u.done <- told
	}
}

func total(b store.Batch) (sum int64) {
	for _, d := range b.Decisions {
		sum += d.Count
	}
	return sum
}
