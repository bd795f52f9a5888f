package nodes

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"sync"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

var imageID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

const (
	maxStarts     = 1_000   // of one report
	maxStartFolds = 20_000  // that are gathered at a time
	maxDayFolds   = 100_000 // that are kept of one day
	startsWritten = 500     // at a time
	maxAsks       = 50
	maxText       = 512 // characters
	maxCount      = 1_000_000_000
)

// starts are those that were reported and are not written yet, folded. Nodes with the same workload report the
// same ones.
type starts struct {
	mu    sync.Mutex
	folds map[string]*store.Start
}

// ReportStarts counts starts that the calling node let pass. They are for previews of policies: texts are cut
// rather than refused, and what is too much is left out.
func (s *Sync) ReportStarts(ctx context.Context, request *portcullisv1.ReportStartsRequest) (*portcullisv1.ReportStartsResponse, error) {
	if n := len(request.GetStarts()); n > maxStarts {
		return nil, rpc.Invalid(rpc.Problem("starts", "are %d; at most %d are taken", n, maxStarts))
	}
	id, now := access.From(ctx).Name, s.options.Now()
	s.news.contact(id, now)
	var node store.Node
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		node, err = tx.Node(ctx, id, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, start := range request.GetStarts() {
		if imageID.MatchString(start.GetImageId()) && start.GetCount() > 0 {
			s.starts.add(toStart(start, &node, now))
		}
	}
	s.news.signal()
	return &portcullisv1.ReportStartsResponse{}, nil
}

// toStart dates a start by the node's clock only while that is not far from ours.
func toStart(r *portcullisv1.Start, node *store.Node, now time.Time) *store.Start {
	at := now
	if told := r.GetLastTime(); told.IsValid() && told.AsTime().After(now.Add(-24*time.Hour)) && told.AsTime().Before(now) {
		at = told.AsTime()
	}
	start := &store.Start{
		Day: at.UTC().Truncate(24 * time.Hour), NodeID: node.ID, Cluster: node.Cluster, Namespace: clean(r.GetNamespace(), maxText),
		Pod: clean(r.GetPod(), maxText), Container: clean(r.GetContainer(), maxText), Image: clean(r.GetImage(), maxText),
		ImageID: r.GetImageId(), Count: min(r.GetCount(), maxCount), LastTime: at,
	}
	for _, ask := range r.GetAsks()[:min(len(r.GetAsks()), maxAsks)] {
		start.Asks = append(start.Asks, store.StartAsk{Parameter: clean(ask.GetParameter(), maxText), Detail: clean(ask.GetDetail(), maxText)})
	}
	return start
}

func (s *starts) add(start *store.Start) {
	key := start.Day.Format(time.DateOnly) + start.Key()
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.folds[key]
	switch {
	case before != nil:
		start.Count = min(start.Count+before.Count, maxCount)
		if before.LastTime.After(start.LastTime) {
			start.LastTime = before.LastTime
		}
	case len(s.folds) >= maxStartFolds:
		return
	}
	s.folds[key] = start
}

func (s *starts) take() []store.Start {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]store.Start, 0, len(s.folds))
	for _, start := range s.folds {
		all = append(all, *start)
	}
	s.folds = map[string]*store.Start{}
	slices.SortFunc(all, func(a, b store.Start) int { // replicas lock rows in the same order
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Key(), b.Key()))
	})
	return all
}

func (s *Sync) writeStarts(ctx context.Context, all []store.Start) error {
	for part := range slices.Chunk(all, startsWritten) {
		if err := s.store.Tx(ctx, func(tx *store.Tx) error { return tx.AddStarts(ctx, part, maxDayFolds) }); err != nil {
			return err
		}
	}
	return nil
}
