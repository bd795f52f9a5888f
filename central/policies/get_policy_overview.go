package policies

import (
	"context"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
)

const (
	endingSoon   = 3 * 24 * time.Hour
	expiringSoon = 7 * 24 * time.Hour
	// maxSoon bounds what is told to end or expire soon.
	maxSoon = 100
)

// GetPolicyOverview counts policies by their state and lists what ends soon.
func (s *Service) GetPolicyOverview(ctx context.Context, _ *portcullisv1.GetPolicyOverviewRequest) (*portcullisv1.GetPolicyOverviewResponse, error) {
	now := s.options.Now()
	response := &portcullisv1.GetPolicyOverviewResponse{}
	var ending, expiring []store.Document
	err := s.store.Read(ctx, func(tx *store.Tx) error {
		for n, filter := range map[*int64]store.DocumentFilter{
			&response.Disabled:  {Disabled: true},
			&response.Observing: {Observing: true},
			&response.Blocking:  {Blocking: true},
		} {
			filter.Kind, filter.Now = policy.KindImagePolicy, now
			var err error
			if *n, err = tx.CountDocuments(ctx, filter); err != nil {
				return err
			}
		}
		var err error
		if ending, err = tx.EndingObservations(ctx, now, now.Add(endingSoon), maxSoon); err != nil {
			return err
		}
		expiring, err = tx.ExpiringExemptions(ctx, now, now.Add(expiringSoon), maxSoon)
		return err
	})
	if err != nil {
		return nil, err
	}
	response.Enabled = response.GetBlocking() + response.GetObserving()
	ending = ending[:fitting(ending, maxSoon, textSize)]
	expiring = expiring[:fitting(expiring, maxSoon, textSize)]
	if response.Ending, err = s.toPolicies(ctx, ending); err != nil {
		return nil, err
	}
	response.Expiring, err = s.toExemptions(expiring)
	return response, err
}
