package nodes

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
)

// UploadDecisions takes in what the calling node decided.
func (s *Sync) UploadDecisions(ctx context.Context, request *portcullisv1.UploadDecisionsRequest) (*portcullisv1.UploadDecisionsResponse, error) {
	id := access.From(ctx).Name
	s.news.contact(id, s.options.Now())
	through, err := s.decisions.Ingest(ctx, id, request)
	if err != nil {
		return nil, err
	}
	return &portcullisv1.UploadDecisionsResponse{Through: through}, nil
}
