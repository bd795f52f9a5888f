package policies

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
)

// hitDays is for how long back hits are counted, and starts looked at.
const hitDays = 7 * 24 * time.Hour

// toPolicies tells policies with their hits.
func (s *Service) toPolicies(ctx context.Context, docs []store.Document) ([]*portcullisv1.Policy, error) {
	names := make([]string, len(docs))
	for i := range docs {
		names[i] = docs[i].Name
	}
	now := s.options.Now()
	hits := map[string]Hits{}
	if len(names) > 0 {
		var err error
		if hits, err = s.options.Hits.PolicyHits(ctx, names, now.Add(-hitDays)); err != nil {
			return nil, err
		}
	}
	policies := make([]*portcullisv1.Policy, len(docs))
	for i := range docs {
		p, err := toPolicy(&docs[i], now)
		if err != nil {
			return nil, err
		}
		p.Blocked, p.Alerted = hits[p.GetName()].Blocked, hits[p.GetName()].Alerted
		policies[i] = p
	}
	return policies, nil
}

func (s *Service) toPolicy(ctx context.Context, d store.Document) (*portcullisv1.Policy, error) {
	policies, err := s.toPolicies(ctx, []store.Document{d})
	if err != nil {
		return nil, err
	}
	return policies[0], nil
}

func toPolicy(d *store.Document, now time.Time) (*portcullisv1.Policy, error) {
	spec, err := toSpec(d)
	return &portcullisv1.Policy{
		Name: d.Name, Document: d.Text, Spec: spec, Template: d.Template, Enabled: d.Enabled, State: state(d, now),
		ObservingSince: toTime(d.ObservingSince), EnforceAt: toTime(d.EnforceAt), Revision: d.Revision,
		CreateTime: toTime(d.CreateTime), UpdateTime: toTime(d.UpdateTime), UpdatedBy: d.UpdatedBy,
	}, err
}

func state(d *store.Document, now time.Time) portcullisv1.PolicyState {
	switch {
	case !d.Enabled:
		return portcullisv1.PolicyState_POLICY_STATE_DISABLED
	case now.Before(d.EnforceAt):
		return portcullisv1.PolicyState_POLICY_STATE_OBSERVING
	}
	return portcullisv1.PolicyState_POLICY_STATE_BLOCKING
}

func toSpec(d *store.Document) (*structpb.Struct, error) {
	var document struct {
		Spec *structpb.Struct `json:"spec"`
	}
	err := json.Unmarshal([]byte(d.Content), &document)
	return document.Spec, err
}

func (s *Service) toExemptions(docs []store.Document) ([]*portcullisv1.Exemption, error) {
	exemptions := make([]*portcullisv1.Exemption, len(docs))
	for i := range docs {
		var err error
		if exemptions[i], err = toExemption(&docs[i], s.options.Now()); err != nil {
			return nil, err
		}
	}
	return exemptions, nil
}

func toExemption(d *store.Document, now time.Time) (*portcullisv1.Exemption, error) {
	x, err := readExemption(d)
	if err != nil {
		return nil, err
	}
	spec, err := toSpec(d)
	return &portcullisv1.Exemption{
		Name: d.Name, Document: d.Text, Spec: spec, Reason: x.Spec.Reason, Author: x.Spec.Author, ExpireTime: toTime(x.Spec.Expires),
		Expired: x.Expired(now), Revision: d.Revision, CreateTime: toTime(d.CreateTime), UpdateTime: toTime(d.UpdateTime), UpdatedBy: d.UpdatedBy,
		State: exemptionState(x, now),
	}, err
}

func exemptionState(x *policy.Exemption, now time.Time) portcullisv1.ExemptionState {
	switch {
	case x.Expired(now):
		return portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRED
	case x.Expired(now.Add(expiringSoon)):
		return portcullisv1.ExemptionState_EXEMPTION_STATE_EXPIRING
	}
	return portcullisv1.ExemptionState_EXEMPTION_STATE_ACTIVE
}

// The times that the API can say.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

func toTime(t time.Time) *timestamppb.Timestamp {
	switch {
	case t.IsZero():
		return nil
	case t.Before(earliest):
		t = earliest
	case t.After(latest):
		t = latest
	}
	return timestamppb.New(t)
}
