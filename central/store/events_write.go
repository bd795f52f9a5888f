package store

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// useAgain is how late the time of a shared row's last use may be. What was used since is not swept.
const useAgain = 24 * time.Hour

// putKinds writes the kinds of the folds that are not there, and what these have in common with others.
// A kind that is there keeps its image and evidence from being swept.
func (tx *Tx) putKinds(ctx context.Context, now time.Time, folds []*fold) error {
	missing, err := tx.missing(ctx, "event_kinds", now, folds, func(f *fold) hash { return f.kind })
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := tx.putImages(ctx, now, missing); err != nil {
		return err
	}
	if err := tx.putEvidence(ctx, now, missing); err != nil {
		return err
	}
	var rows [][]any
	for _, f := range missing {
		rows = append(rows, []any{
			f.kind[:], f.Action, f.Severity, f.Template, f.Policy, f.Namespace, f.workload, f.Container, f.image[:], f.evidence[:], Micros(now),
		})
	}
	return tx.insert(ctx, `INSERT INTO event_kinds (id, action, severity, template, policy, namespace, workload, container, image, evidence, use_time)`,
		rows, "ON CONFLICT (id) DO UPDATE SET use_time = excluded.use_time")
}

func (tx *Tx) putImages(ctx context.Context, now time.Time, folds []*fold) error {
	missing, err := tx.missing(ctx, "event_images", now, folds, func(f *fold) hash { return f.image })
	var rows [][]any
	for _, f := range missing {
		rows = append(rows, []any{f.image[:], f.Image, strings.ToLower(f.Image), f.ImageID, f.Registry, Micros(now)})
	}
	if err != nil {
		return err
	}
	return tx.insert(ctx, "INSERT INTO event_images (id, name, folded, image_id, registry, use_time)", rows,
		"ON CONFLICT (id) DO UPDATE SET use_time = excluded.use_time")
}

func (tx *Tx) putEvidence(ctx context.Context, now time.Time, folds []*fold) error {
	missing, err := tx.missing(ctx, "event_evidence", now, folds, func(f *fold) hash { return f.evidence })
	if err != nil {
		return err
	}
	var rows, findings [][]any
	for _, f := range missing {
		rows = append(rows, []any{f.evidence[:], append([]byte{}, f.Evidence...), Micros(now)}) // nil would be NULL
		if f.Findings == nil {
			continue
		}
		for _, word := range f.Findings() {
			findings = append(findings, []any{strings.ToLower(word), f.evidence[:]})
		}
	}
	err = tx.insert(ctx, "INSERT INTO event_evidence (id, detail, use_time)", rows, "ON CONFLICT (id) DO UPDATE SET use_time = excluded.use_time")
	if err != nil {
		return err
	}
	return tx.insertNew(ctx, "event_findings (finding, evidence)", findings)
}

// missing returns a fold for each shared row that is not there or must be told that it is used, sorted
// by the row's ID.
func (tx *Tx) missing(ctx context.Context, table string, now time.Time, folds []*fold, idOf func(*fold) hash) ([]*fold, error) {
	distinct := map[hash]*fold{}
	for _, f := range folds {
		distinct[idOf(f)] = f
	}
	err := tx.inHashes("id", slices.Collect(maps.Keys(distinct)), func(w *conditions) error {
		w.add("use_time >= ?", Micros(now.Add(-useAgain)))
		return eachRow(ctx, tx, scanHash, func(id hash) error {
			delete(distinct, id)
			return nil
		}, "SELECT id FROM "+table+w.String(), w.args...)
	})
	return slices.SortedFunc(maps.Values(distinct), func(a, b *fold) int {
		left, right := idOf(a), idOf(b)
		return slices.Compare(left[:], right[:])
	}), err
}

func scanHash(row scanner) (hash, error) {
	var id []byte
	err := row.Scan(&id)
	return hash(id), err
}

// putEvents gives the folds that are events already their IDs, and brings these up to date; the others
// become events.
func (tx *Tx) putEvents(ctx context.Context, now time.Time, folds []*fold) error {
	stale, err := tx.findEvents(ctx, folds)
	if err != nil {
		return err
	}
	assignIDs(now, folds)
	var fresh []*fold
	for _, f := range folds {
		if f.isNew {
			fresh = append(fresh, f)
		}
	}
	if err := tx.insertEvents(ctx, fresh, ""); err != nil {
		return err
	}
	return tx.insertEvents(ctx, stale, "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, pod_address = excluded.pod_address")
}

// findEvents tells the folds whether they are events already, and returns those of which something is
// new. On PostgreSQL the rows are locked, or they could be swept before they are counted on.
func (tx *Tx) findEvents(ctx context.Context, folds []*fold) (stale []*fold, err error) {
	type known struct {
		id, last  int64
		key, kind []byte
	}
	for len(folds) > 0 { // those of one node
		byKey := map[hash]*fold{}
		var keys []hash
		for _, f := range folds {
			if f.node != folds[0].node {
				break
			}
			f.isNew = true
			byKey[f.key] = f
			keys = append(keys, f.key)
		}
		err := tx.inHashes("e.key", keys, func(w *conditions) error {
			w.add("e.node_id = ?", folds[0].node)
			return eachRow(ctx, tx, func(row scanner) (k known, err error) {
				err = row.Scan(&k.id, &k.key, &k.kind, &k.last)
				return k, err
			}, func(k known) error {
				f := byKey[hash(k.key)]
				f.id, f.isNew = k.id, false
				if f.kind != hash(k.kind) && Micros(f.Last) >= k.last {
					stale = append(stale, f)
				}
				return nil
			}, "SELECT e.id, e.key, e.kind, c.last_time FROM events e JOIN event_counts c ON c.event = e.id"+w.String()+tx.dialect.forUpdate("c"), w.args...)
		})
		if err != nil {
			return nil, err
		}
		folds = folds[len(keys):]
	}
	return stale, nil
}

// assignIDs gives new events IDs that grow with time: milliseconds, and 22 bits that keep replicas
// apart. They are numbers and not UUIDs because every index holds them.
func assignIDs(now time.Time, folds []*fold) {
	next := firstID(now) | rand.Int64N(1<<22) //nolint:gosec // G404: not a secret
	for _, f := range folds {
		if f.isNew {
			f.id = next
			next++
		}
	}
}

// firstID is the smallest that assignIDs may assign at a time.
func firstID(at time.Time) int64 { return at.UnixMilli() << 22 }

func (tx *Tx) insertEvents(ctx context.Context, folds []*fold, tail string) error {
	var rows [][]any
	for _, f := range folds {
		rows = append(rows, []any{f.id, f.node, f.key[:], f.kind[:], f.Pod, f.PodUID, f.PodAddress})
	}
	return tx.insert(ctx, "INSERT INTO events (id, node_id, key, kind, pod, pod_uid, pod_address)", rows, tail)
}

func (tx *Tx) countEvents(ctx context.Context, folds []*fold) error {
	var rows [][]any
	for _, f := range folds {
		rows = append(rows, []any{f.id, f.Count, Micros(f.First), Micros(f.Last), f.Operation, f.Revision})
	}
	return tx.insert(ctx, "INSERT INTO event_counts (event, count, first_time, last_time, operation, revision)", rows,
		`ON CONFLICT (event) DO UPDATE SET count = event_counts.count + excluded.count,
		first_time = CASE WHEN excluded.first_time < event_counts.first_time THEN excluded.first_time ELSE event_counts.first_time END,
		last_time = CASE WHEN excluded.last_time > event_counts.last_time THEN excluded.last_time ELSE event_counts.last_time END,
		operation = CASE WHEN excluded.last_time >= event_counts.last_time THEN excluded.operation ELSE event_counts.operation END,
		revision = CASE WHEN excluded.last_time >= event_counts.last_time THEN excluded.revision ELSE event_counts.revision END`)
}

// trendSeconds and hitSeconds are how long one counter counts.
const (
	trendSeconds = 15 * 60
	hitSeconds   = 60 * 60
)

type trendKey struct {
	bucket int64
	action int
}

type hitKey struct {
	policy string
	hour   int64
	action int
}

func (tx *Tx) countTotals(ctx context.Context, trend map[trendKey]int64, hits map[hitKey]int64) error {
	var rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(hits), func(a, b hitKey) int {
		return cmp.Or(strings.Compare(a.policy, b.policy), cmp.Compare(a.hour, b.hour), cmp.Compare(a.action, b.action))
	}) {
		rows = append(rows, []any{k.policy, k.hour, k.action, hits[k]})
	}
	err := tx.insert(ctx, "INSERT INTO event_policy_hits (policy, hour, action, count)", rows,
		"ON CONFLICT (policy, hour, action) DO UPDATE SET count = event_policy_hits.count + excluded.count")
	if err != nil {
		return err
	}
	rows = nil
	for _, k := range slices.SortedFunc(maps.Keys(trend), func(a, b trendKey) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.action, b.action))
	}) {
		rows = append(rows, []any{k.bucket, k.action, trend[k]})
	}
	return tx.insert(ctx, "INSERT INTO event_trend (bucket, action, count)", rows,
		"ON CONFLICT (bucket, action) DO UPDATE SET count = event_trend.count + excluded.count")
}
