package policies

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

// Bundles gives what nodes enforce. The store tells store.BundlesTopic of each new one.
type Bundles struct{ store *store.Store }

// NewBundles gives the bundles of the store.
func NewBundles(s *store.Store) *Bundles { return &Bundles{s} }

// NewestBundle returns store.ErrNotFound until there has been a policy or an exemption.
func (b *Bundles) NewestBundle(ctx context.Context) (*portcullisv1.Bundle, error) {
	var newest store.Bundle
	err := b.store.Read(ctx, func(tx *store.Tx) (err error) {
		newest, err = tx.NewestBundle(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &portcullisv1.Bundle{Number: newest.Number, Documents: newest.Documents, CreateTime: toTime(newest.CreateTime)}, nil
}
