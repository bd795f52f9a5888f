package store

import (
	"context"
	"errors"
	"time"
)

// sweepBatch is how many rows one sweep deletes at most: others are waiting to write.
const sweepBatch = 500

// SweepEvents deletes some of what is older than before, and says whether there is more.
func (s *Store) SweepEvents(ctx context.Context, before, now time.Time) (deleted int, more bool, err error) {
	err = s.run(ctx, s.write, s.dialect.waiting(), func(tx *Tx) error {
		deleted, err = tx.sweepEvents(ctx, before)
		if err != nil || deleted > 0 {
			return err
		}
		return tx.sweepShared(ctx, before, now)
	})
	return deleted, deleted > 0, err
}

func (tx *Tx) sweepEvents(ctx context.Context, before time.Time) (int, error) {
	// Whether it is old is asked twice: on PostgreSQL it may have been counted on meanwhile.
	ids, err := collect(ctx, tx, func(row scanner) (id any, err error) {
		var number int64
		err = row.Scan(&number)
		return number, err
	}, `DELETE FROM event_counts WHERE last_time < $1 AND event IN
		(SELECT event FROM event_counts WHERE last_time < $1 ORDER BY last_time LIMIT $2) RETURNING event`, Micros(before), sweepBatch)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), inChunks(ids, func(some []any) error {
		for _, table := range []string{"events WHERE id", "notification_outbox WHERE event"} {
			w := &conditions{}
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" IN ("+list(w, some)+")", w.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepShared deletes what no event needs any more and what was not used for two days; a transaction
// that began to use it before is over by then.
func (tx *Tx) sweepShared(ctx context.Context, before, now time.Time) error {
	unused := Micros(now.Add(-2 * useAgain))
	var failures []error
	for _, sweep := range []struct {
		query string
		limit int64
	}{
		{"DELETE FROM event_trend WHERE bucket < $1", before.Unix() / trendSeconds},
		{"DELETE FROM event_policy_hits WHERE hour < $1", before.Unix() / hitSeconds},
		{"DELETE FROM event_spools WHERE update_time < $1", Micros(before)},
		{"DELETE FROM event_kinds WHERE use_time < $1 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.kind = event_kinds.id)", unused},
		{"DELETE FROM event_images WHERE use_time < $1 AND NOT EXISTS (SELECT 1 FROM event_kinds k WHERE k.image = event_images.id)", unused},
		{"DELETE FROM event_evidence WHERE use_time < $1 AND NOT EXISTS (SELECT 1 FROM event_kinds k WHERE k.evidence = event_evidence.id)", unused},
	} {
		_, err := tx.Exec(ctx, sweep.query, sweep.limit)
		failures = append(failures, err)
	}
	_, err := tx.Exec(ctx, "DELETE FROM event_findings WHERE NOT EXISTS (SELECT 1 FROM event_evidence v WHERE v.id = event_findings.evidence)")
	return errors.Join(append(failures, err)...)
}
