package nodes

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
)

// ReportState takes in how the calling node is. Its name and cluster are those that it joined with: a node
// that could change them could pass for another.
func (s *Sync) ReportState(ctx context.Context, request *portcullisv1.ReportStateRequest) (*portcullisv1.ReportStateResponse, error) {
	now := s.options.Now()
	status := statusOf(request.GetInfo())
	status.Bundle = max(0, request.GetBundle())
	status.RejectedBundle = max(0, request.GetRejectedBundle())
	status.Rejection = clean(request.GetRejection(), maxRejection)
	if request.GetTime().IsValid() {
		status.ClockSkew = request.GetTime().AsTime().Sub(now)
	}
	s.news.status(access.From(ctx).Name, status, now)
	return &portcullisv1.ReportStateResponse{}, nil
}
