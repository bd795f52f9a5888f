package policies

import (
	"context"
	"fmt"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/policy"
)

// ListPolicies returns a page of policies, by name.
func (s *Service) ListPolicies(ctx context.Context, request *portcullisv1.ListPoliciesRequest) (*portcullisv1.ListPoliciesResponse, error) {
	filter := store.DocumentFilter{Kind: policy.KindImagePolicy, Search: request.GetSearch(), Template: request.GetTemplate(), Now: s.options.Now()}
	switch policy.Template(filter.Template) {
	case "", policy.TemplateRiskyImage, policy.TemplatePrivilegedStart:
	default:
		return nil, rpc.Invalid(rpc.Problem("template", "is not one; write %s, %s or nothing for both", policy.TemplateRiskyImage, policy.TemplatePrivilegedStart))
	}
	for _, state := range request.GetStates() {
		switch state {
		case portcullisv1.PolicyState_POLICY_STATE_DISABLED:
			filter.Disabled = true
		case portcullisv1.PolicyState_POLICY_STATE_OBSERVING:
			filter.Observing = true
		case portcullisv1.PolicyState_POLICY_STATE_BLOCKING:
			filter.Blocking = true
		default:
			return nil, rpc.Invalid(rpc.Problem("states", "%d is not a state; choose disabled, observing or blocking", state))
		}
	}
	found, err := s.list(ctx, filter, request.GetPageSize(), request.GetPageToken())
	if err != nil {
		return nil, err
	}
	policies, err := s.toPolicies(ctx, found.docs)
	return &portcullisv1.ListPoliciesResponse{Policies: policies, NextPageToken: found.next, Total: found.total}, err
}

// ListPolicyRevisions returns a page of the changes of a policy, the newest first.
func (s *Service) ListPolicyRevisions(ctx context.Context, request *portcullisv1.ListPolicyRevisionsRequest) (*portcullisv1.ListPolicyRevisionsResponse, error) {
	if err := checkTarget(request.GetName(), 0); err != nil {
		return nil, err
	}
	size, err := rpc.PageSize(request.GetPageSize(), defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	var before int64
	further, err := rpc.ReadPageToken(request.GetPageToken(), &before)
	if err != nil {
		return nil, err
	}
	var revisions []store.DocumentRevision
	err = s.store.Read(ctx, func(tx *store.Tx) error {
		revisions, err = tx.DocumentRevisions(ctx, policy.KindImagePolicy, request.GetName(), before, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(revisions) == 0 && !further {
		return nil, fmt.Errorf("%s %q: %w", policy.KindImagePolicy, request.GetName(), store.ErrNotFound)
	}
	response := &portcullisv1.ListPolicyRevisionsResponse{}
	n := fitting(revisions, size, func(r store.DocumentRevision) int { return len(r.Text) })
	for _, r := range revisions[:n] {
		response.Revisions = append(response.Revisions, &portcullisv1.PolicyRevision{Revision: r.Revision, Document: r.Text, Time: toTime(r.Time), Author: r.Author})
	}
	if n < len(revisions) {
		response.NextPageToken, err = rpc.PageToken(revisions[n-1].Revision)
	}
	return response, err
}
