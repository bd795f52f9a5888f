package policies

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/policy"
)

// CreateExemption takes an exemption whose name is new.
func (s *Service) CreateExemption(ctx context.Context, request *portcullisv1.CreateExemptionRequest) (*portcullisv1.CreateExemptionResponse, error) {
	d, err := s.create(ctx, policy.KindExemption, request.GetDocument())
	if err != nil {
		return nil, err
	}
	x, err := toExemption(&d, s.options.Now())
	return &portcullisv1.CreateExemptionResponse{Exemption: x}, err
}

// UpdateExemption takes the new document of an exemption.
func (s *Service) UpdateExemption(ctx context.Context, request *portcullisv1.UpdateExemptionRequest) (*portcullisv1.UpdateExemptionResponse, error) {
	d, err := s.update(ctx, policy.KindExemption, request.GetDocument(), request.GetRevision())
	if err != nil {
		return nil, err
	}
	x, err := toExemption(&d, s.options.Now())
	return &portcullisv1.UpdateExemptionResponse{Exemption: x}, err
}

// DeleteExemption removes an exemption.
func (s *Service) DeleteExemption(ctx context.Context, request *portcullisv1.DeleteExemptionRequest) (*portcullisv1.DeleteExemptionResponse, error) {
	return &portcullisv1.DeleteExemptionResponse{}, s.remove(ctx, policy.KindExemption, request.GetName(), request.GetRevision())
}

// GetExemption returns one exemption.
func (s *Service) GetExemption(ctx context.Context, request *portcullisv1.GetExemptionRequest) (*portcullisv1.GetExemptionResponse, error) {
	d, err := s.read(ctx, policy.KindExemption, request.GetName())
	if err != nil {
		return nil, err
	}
	x, err := toExemption(&d, s.options.Now())
	return &portcullisv1.GetExemptionResponse{Exemption: x}, err
}

// ListExemptions returns a page of exemptions, by name.
func (s *Service) ListExemptions(ctx context.Context, request *portcullisv1.ListExemptionsRequest) (*portcullisv1.ListExemptionsResponse, error) {
	now := s.options.Now()
	filter := store.DocumentFilter{Kind: policy.KindExemption, Search: request.GetSearch(), Now: now, Soon: now.Add(expiringSoon)}
	for _, state := range request.GetStates() {
		switch state {
		case portcullisv1.ExemptionState_EXEMPTION_STATE_ACTIVE:
			filter.Active = true
		case portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRING:
			filter.Expiring = true
		case portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRED:
			filter.Expired = true
		default:
			return nil, rpc.Invalid(rpc.Problem("states", "%d is not a state; choose active, expiring or expired", state))
		}
	}
	found, err := s.list(ctx, filter, request.GetPageSize(), request.GetPageToken())
	if err != nil {
		return nil, err
	}
	exemptions, err := s.toExemptions(found.docs)
	return &portcullisv1.ListExemptionsResponse{Exemptions: exemptions, NextPageToken: found.next, Total: found.total}, err
}
