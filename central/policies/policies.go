package policies

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/policy"
)

// CreatePolicy takes a policy whose name is new.
func (s *Service) CreatePolicy(ctx context.Context, request *portcullisv1.CreatePolicyRequest) (*portcullisv1.CreatePolicyResponse, error) {
	d, err := s.create(ctx, policy.KindImagePolicy, request.GetDocument())
	if err != nil {
		return nil, err
	}
	p, err := s.toPolicy(ctx, d)
	return &portcullisv1.CreatePolicyResponse{Policy: p}, err
}

// UpdatePolicy takes the new document of a policy.
func (s *Service) UpdatePolicy(ctx context.Context, request *portcullisv1.UpdatePolicyRequest) (*portcullisv1.UpdatePolicyResponse, error) {
	d, err := s.update(ctx, policy.KindImagePolicy, request.GetDocument(), request.GetRevision())
	if err != nil {
		return nil, err
	}
	p, err := s.toPolicy(ctx, d)
	return &portcullisv1.UpdatePolicyResponse{Policy: p}, err
}

// DeletePolicy removes a policy that no exemption names.
func (s *Service) DeletePolicy(ctx context.Context, request *portcullisv1.DeletePolicyRequest) (*portcullisv1.DeletePolicyResponse, error) {
	return &portcullisv1.DeletePolicyResponse{}, s.remove(ctx, policy.KindImagePolicy, request.GetName(), request.GetRevision())
}

// GetPolicy returns one policy.
func (s *Service) GetPolicy(ctx context.Context, request *portcullisv1.GetPolicyRequest) (*portcullisv1.GetPolicyResponse, error) {
	d, err := s.read(ctx, policy.KindImagePolicy, request.GetName())
	if err != nil {
		return nil, err
	}
	p, err := s.toPolicy(ctx, d)
	return &portcullisv1.GetPolicyResponse{Policy: p}, err
}
