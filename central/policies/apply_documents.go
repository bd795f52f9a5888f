package policies

import (
	"context"
	"strings"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
)

// ExportDocuments returns all documents as ApplyDocuments takes them. When a policy began to observe is not
// in them, unless its author wrote it.
func (s *Service) ExportDocuments(ctx context.Context, _ *portcullisv1.ExportDocumentsRequest) (*portcullisv1.ExportDocumentsResponse, error) {
	var b strings.Builder
	err := s.store.Read(ctx, func(tx *store.Tx) error {
		b.Reset()
		for _, kind := range []string{policy.KindImagePolicy, policy.KindExemption} {
			docs, err := tx.Documents(ctx, kind)
			if err != nil {
				return err
			}
			for i := range docs {
				b.WriteString("---\n")
				b.WriteString(docs[i].Text)
			}
		}
		return nil
	})
	return &portcullisv1.ExportDocumentsResponse{Documents: b.String()}, err
}

// ApplyDocuments makes the documents those that are in force.
func (s *Service) ApplyDocuments(ctx context.Context, request *portcullisv1.ApplyDocumentsRequest) (*portcullisv1.ApplyDocumentsResponse, error) {
	entries, err := s.parse(ctx, "documents", request.GetDocuments(), MaxBundle)
	if err != nil {
		return nil, err
	}
	var applied []*portcullisv1.AppliedDocument
	_, err = s.change(ctx, request.GetDryRun(), func(all *set) error {
		applied = nil
		named := map[key]bool{}
		for _, e := range entries {
			named[e.key] = true
			change := portcullisv1.AppliedDocument_CHANGE_CREATED
			if all.docs[e.key] != nil {
				change = portcullisv1.AppliedDocument_CHANGE_UPDATED
			}
			changed, err := all.put(e)
			if err != nil {
				return err
			}
			if !changed {
				change = portcullisv1.AppliedDocument_CHANGE_UNCHANGED
			}
			applied = append(applied, &portcullisv1.AppliedDocument{Kind: e.kind, Name: e.name, Change: change})
		}
		if request.GetPrune() {
			applied = append(applied, all.prune(named)...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &portcullisv1.ApplyDocumentsResponse{Applied: applied}, nil
}

// prune deletes every document that is not named.
func (all *set) prune(named map[key]bool) (applied []*portcullisv1.AppliedDocument) {
	for _, kind := range []string{policy.KindImagePolicy, policy.KindExemption} {
		for _, d := range all.sorted(kind) {
			if named[key{kind, d.Name}] {
				continue
			}
			all.delete(d)
			applied = append(applied, &portcullisv1.AppliedDocument{Kind: kind, Name: d.Name, Change: portcullisv1.AppliedDocument_CHANGE_DELETED})
		}
	}
	return applied
}
