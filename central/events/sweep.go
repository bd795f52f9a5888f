package events

import (
	"context"

	"portcullis/central/sweep"
)

// Run deletes what is older than the retention until ctx ends.
func (s *Service) Run(ctx context.Context) { sweep.Run(ctx, s.options.Log, "events", s.sweep) }

func (s *Service) sweep(ctx context.Context) (more bool, err error) {
	now := s.options.Now()
	deleted, more, err := s.store.SweepEvents(ctx, now.Add(-s.options.Retention), now)
	s.swept.Add(float64(deleted))
	return more, err
}
