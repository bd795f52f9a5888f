package policies

import (
	"context"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/policy"
)

// SetPolicyEnabled switches a policy on or off. Its observation begins anew when it is switched on, also
// where the document said when it began.
func (s *Service) SetPolicyEnabled(ctx context.Context, request *portcullisv1.SetPolicyEnabledRequest) (*portcullisv1.SetPolicyEnabledResponse, error) {
	if err := checkTarget(request.GetName(), request.GetRevision()); err != nil {
		return nil, err
	}
	k := key{policy.KindImagePolicy, request.GetName()}
	all, err := s.change(ctx, false, func(all *set) error {
		d, err := all.get(k, request.GetRevision())
		if err != nil || d.Enabled == request.GetEnabled() {
			return err
		}
		p, err := readPolicy(d)
		if err != nil {
			return err
		}
		p.Spec.Enabled = request.GetEnabled()
		if p.Spec.Enabled {
			p.Spec.Effect.Since = time.Time{}
		}
		e, err := newPolicyEntry(p, rpc.Problem)
		if err != nil {
			return err
		}
		_, err = all.put(e)
		return err
	})
	if err != nil {
		return nil, err
	}
	p, err := s.toPolicy(ctx, *all.docs[k])
	return &portcullisv1.SetPolicyEnabledResponse{Policy: p}, err
}
