package events

import (
	"context"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

// EachBlocked hands on what was blocked since a time, the newest events and at most so many, in no order. It
// may begin anew and then calls begin again; do must not read the database.
func (s *Service) EachBlocked(ctx context.Context, since time.Time, most int, begin func(), do func(*portcullisv1.Event)) error {
	return s.store.Read(ctx, func(tx *store.Tx) error {
		begin()
		return tx.EachBlocked(ctx, since, most, func(e store.Event) error {
			told, err := event(e)
			if err == nil {
				do(told)
			}
			return err
		})
	})
}
