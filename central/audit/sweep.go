package audit

import (
	"context"

	"portcullis/central/sweep"
)

// Run deletes what is older than the retention until ctx ends.
func (s *Service) Run(ctx context.Context) { sweep.Run(ctx, s.options.Log, "audit entries", s.sweep) }

func (s *Service) sweep(ctx context.Context) (more bool, err error) {
	return s.store.SweepAudit(ctx, s.options.Now().Add(-s.options.Retention))
}
