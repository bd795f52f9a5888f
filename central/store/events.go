package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Decision is one decision of a node, or several that are the same but for their time.
type Decision struct {
	Action   int // 1 alert, 2 block
	Severity int // a greater one is worse; 0 for none
	Template string
	Policy   string

	Namespace, Pod, PodUID, PodAddress, Container string

	Image, ImageID, Registry string

	Operation string
	Revision  string // of the bundle
	// Evidence is the rest of the event, encoded: what all decisions of one policy on one image share.
	Evidence []byte
	// Findings are what the evidence is searched by. They are asked for only where the evidence is new;
	// nil has none.
	Findings func() []string

	Count       int64
	First, Last time.Time
}

// EventNode is what an event says of its node.
type EventNode struct {
	ID, Name, Cluster string
	Addresses         []string
}

// Batch is a piece of a node's spool: its records above After up to and including Through.
type Batch struct {
	Node           EventNode
	Spool          string
	After, Through int64
	Decisions      []Decision
}

// EventsTopic is notified of events that are new or count on: at most newestTold of their IDs in one
// payload, parted by commas.
const EventsTopic = "events"

// newestTold bounds a payload to what maxPayload holds.
const newestTold = 400

// hash is what a row is known by whose content does not change.
type hash = [16]byte

func hashOf(parts ...string) hash {
	h := sha256.New()
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return hash(h.Sum(nil)[:16])
}

// fold is the decisions of one event in one transaction.
type fold struct {
	Decision        // the newest of them, with the count of all
	node            string
	key             hash
	image, evidence hash
	id              int64
	isNew           bool
}

func newFold(node string, d Decision) fold {
	pod := d.PodUID
	if pod == "" {
		pod = "name:" + d.Pod
	}
	return fold{
		Decision: d, node: node,
		key:   hashOf(node, d.Namespace, pod, d.Container, d.Policy, d.ImageID, fmt.Sprint(d.Action)),
		image: hashOf(d.Image, d.ImageID), evidence: hashOf(string(d.Evidence)),
	}
}

func (f *fold) add(d fold) {
	count, first := f.Count+d.Count, f.First
	if d.First.Before(first) {
		first = d.First
	}
	if !d.Last.Before(f.Last) {
		*f = d
	}
	f.Count, f.First = count, first
}

// AddDecisions counts the batches in one transaction, and returns for each up to which record central
// has its spool. A batch that does not begin exactly there is not counted, nor is any part of it.
func (s *Store) AddDecisions(ctx context.Context, now time.Time, batches []Batch) ([]int64, error) {
	var through []int64
	for attempt := 1; ; attempt++ {
		err := s.run(ctx, s.write, s.dialect.waiting(), func(tx *Tx) (err error) {
			through, err = tx.addDecisions(ctx, now, batches)
			return err
		})
		// Another replica made the same event first, or took the same ID.
		if !errors.Is(err, ErrExists) || attempt == attempts || !pause(ctx, attempt) {
			return through, err
		}
	}
}

func (tx *Tx) addDecisions(ctx context.Context, now time.Time, batches []Batch) ([]int64, error) {
	if err := tx.planByIndex(ctx); err != nil {
		return nil, err
	}
	through := make([]int64, len(batches))
	folds := map[hash]*fold{}
	trend, hits := map[trendKey]int64{}, map[hitKey]int64{}
	for i, b := range batches {
		var taken bool
		var err error
		if through[i], taken, err = tx.takeBatch(ctx, now, b); err != nil {
			return nil, fmt.Errorf("spool %q: %w", b.Spool, err)
		}
		if !taken {
			continue
		}
		for _, d := range b.Decisions {
			f := newFold(b.Node.ID, d)
			if known, ok := folds[f.key]; ok {
				known.add(f)
			} else {
				folds[f.key] = &f
			}
			trend[trendKey{d.Last.Unix() / trendSeconds, d.Action}] += d.Count
			if d.Policy != "" {
				hits[hitKey{d.Policy, d.Last.Unix() / hitSeconds, d.Action}] += d.Count
			}
		}
	}
	if len(folds) == 0 {
		return through, nil
	}
	// All transactions take their rows in the same order, so that none waits for one that waits for it.
	sorted := slices.SortedFunc(maps.Values(folds), func(a, b *fold) int { return slices.Compare(a.key[:], b.key[:]) })
	return through, tx.writeFolds(ctx, now, sorted, trend, hits)
}

// takeBatch moves the spool on if the batch begins where it ends. The row stays locked until the
// transaction ends, so that a batch that is sent twice at the same time is counted once.
func (tx *Tx) takeBatch(ctx context.Context, now time.Time, b Batch) (through int64, taken bool, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO event_spools (node_id, spool, through, update_time) VALUES ($1, $2, 0, $3)
		ON CONFLICT (node_id, spool) DO UPDATE SET update_time = excluded.update_time RETURNING through`,
		b.Node.ID, b.Spool, Micros(now)).Scan(&through)
	if err != nil || through != b.After || b.Through <= b.After {
		return through, false, err
	}
	if err := tx.putEventNode(ctx, b.Node); err != nil {
		return 0, false, err
	}
	_, err = tx.Exec(ctx, "UPDATE event_spools SET through = $3 WHERE node_id = $1 AND spool = $2", b.Node.ID, b.Spool, b.Through)
	return b.Through, true, err
}

// putEventNode keeps the node's names; they change seldom.
func (tx *Tx) putEventNode(ctx context.Context, n EventNode) error {
	addresses := strings.Join(n.Addresses, ",")
	changed, err := tx.Exec(ctx, `INSERT INTO event_nodes (node_id, name, cluster, addresses) VALUES ($1, $2, $3, $4)
		ON CONFLICT (node_id) DO UPDATE SET name = excluded.name, cluster = excluded.cluster, addresses = excluded.addresses
		WHERE event_nodes.name <> excluded.name OR event_nodes.cluster <> excluded.cluster OR event_nodes.addresses <> excluded.addresses`,
		n.ID, n.Name, n.Cluster, addresses)
	if err != nil || changed == 0 {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM event_node_addresses WHERE node_id = $1", n.ID); err != nil {
		return err
	}
	var rows [][]any
	for _, address := range n.Addresses {
		rows = append(rows, []any{address, n.ID})
	}
	return tx.insertNew(ctx, "event_node_addresses (address, node_id)", rows)
}

func (tx *Tx) writeFolds(ctx context.Context, now time.Time, folds []*fold, trend map[trendKey]int64, hits map[hitKey]int64) error {
	for _, write := range []func() error{
		func() error { return tx.putImages(ctx, now, folds) },
		func() error { return tx.putEvidence(ctx, now, folds) },
		func() error { return tx.findEvents(ctx, now, folds) },
		func() error { return tx.insertEvents(ctx, folds) },
		func() error { return tx.countEvents(ctx, folds) },
		func() error { return tx.queueNotifications(ctx, folds) },
		// Last, because every replica changes the same few rows.
		func() error { return tx.countTotals(ctx, trend, hits) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	tx.Notify(EventsTopic, newestEvents(folds))
	return nil
}

// useAgain is how late the time of a shared row's last use may be. What was used since is not swept.
const useAgain = 24 * time.Hour

func (tx *Tx) putImages(ctx context.Context, now time.Time, folds []*fold) error {
	distinct := map[hash]*fold{}
	for _, f := range folds {
		distinct[f.image] = f
	}
	missing, err := tx.missing(ctx, "event_images", now, slices.Collect(maps.Keys(distinct)))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, id := range missing {
		f := distinct[id]
		rows = append(rows, []any{id[:], f.Image, strings.ToLower(f.Image), f.ImageID, f.Registry, Micros(now)})
	}
	return tx.insert(ctx, "INSERT INTO event_images (id, name, folded, image_id, registry, use_time)", rows,
		"ON CONFLICT (id) DO UPDATE SET use_time = excluded.use_time")
}

func (tx *Tx) putEvidence(ctx context.Context, now time.Time, folds []*fold) error {
	distinct := map[hash]*fold{}
	for _, f := range folds {
		distinct[f.evidence] = f
	}
	missing, err := tx.missing(ctx, "event_evidence", now, slices.Collect(maps.Keys(distinct)))
	if err != nil {
		return err
	}
	var rows, findings [][]any
	for _, id := range missing {
		rows = append(rows, []any{id[:], append([]byte{}, distinct[id].Evidence...), Micros(now)}) // nil would be NULL
		if distinct[id].Findings == nil {
			continue
		}
		for _, word := range distinct[id].Findings() {
			findings = append(findings, []any{strings.ToLower(word), id[:]})
		}
	}
	err = tx.insert(ctx, "INSERT INTO event_evidence (id, detail, use_time)", rows, "ON CONFLICT (id) DO UPDATE SET use_time = excluded.use_time")
	if err != nil {
		return err
	}
	return tx.insertNew(ctx, "event_findings (finding, evidence)", findings)
}

// missing returns which of the shared rows are not there or must be told that they are used, sorted.
func (tx *Tx) missing(ctx context.Context, table string, now time.Time, ids []hash) ([]hash, error) {
	known := map[hash]bool{}
	recently := Micros(now.Add(-useAgain))
	err := inChunks(ids, func(some []hash) error {
		w := &conditions{}
		oneOf(w, "id", blobs(some))
		w.add("use_time >= " + w.param(recently))
		found, err := collect(ctx, tx, func(row scanner) (hash, error) {
			var id []byte
			err := row.Scan(&id)
			return hash(id), err
		}, "SELECT id FROM "+table+w.String(), w.args...)
		for _, id := range found {
			known[id] = true
		}
		return err
	})
	ids = slices.DeleteFunc(ids, func(id hash) bool { return known[id] })
	slices.SortFunc(ids, func(a, b hash) int { return slices.Compare(a[:], b[:]) })
	return ids, err
}

// findEvents gives the folds that are events already their IDs, and brings these up to date. On
// PostgreSQL the rows are locked, or they could be swept before they are counted on.
func (tx *Tx) findEvents(ctx context.Context, now time.Time, folds []*fold) error {
	byKey := map[hash]*fold{}
	var keys []hash
	for _, f := range folds {
		byKey[f.key] = f
		f.isNew = true
		keys = append(keys, f.key)
	}
	type known struct {
		id, last             int64
		severity             int
		key, image, evidence []byte
	}
	var stale []*fold
	err := inChunks(keys, func(some []hash) error {
		w := &conditions{}
		oneOf(w, "e.key", blobs(some))
		found, err := collect(ctx, tx, func(row scanner) (k known, err error) {
			err = row.Scan(&k.id, &k.key, &k.severity, &k.image, &k.evidence, &k.last)
			return k, err
		}, `SELECT e.id, e.key, e.severity, e.image, e.evidence, c.last_time
			FROM events e JOIN event_counts c ON c.event = e.id`+w.String()+tx.dialect.forUpdate("c"), w.args...)
		for _, k := range found {
			f := byKey[hash(k.key)]
			f.id, f.isNew = k.id, false
			same := f.Severity == k.severity && f.image == hash(k.image) && f.evidence == hash(k.evidence)
			if !same && Micros(f.Last) >= k.last {
				stale = append(stale, f)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range stale {
		_, err := tx.Exec(ctx, "UPDATE events SET severity = $2, image = $3, evidence = $4, template = $5, pod_address = $6 WHERE id = $1",
			f.id, f.Severity, f.image[:], f.evidence[:], f.Template, f.PodAddress)
		if err != nil {
			return err
		}
	}
	assignIDs(now, folds)
	return nil
}

// assignIDs gives new events IDs that grow with time: milliseconds, and 22 bits that keep replicas
// apart. They are numbers and not UUIDs because every index holds them.
func assignIDs(now time.Time, folds []*fold) {
	next := now.UnixMilli()<<22 | rand.Int64N(1<<22) //nolint:gosec // G404: not a secret
	for _, f := range folds {
		if f.isNew {
			f.id = next
			next++
		}
	}
}

func (tx *Tx) insertEvents(ctx context.Context, folds []*fold) error {
	var rows [][]any
	for _, f := range folds {
		if f.isNew {
			rows = append(rows, []any{
				f.id, f.key[:], f.Action, f.Severity, f.Template, f.Policy, f.node,
				f.Namespace, f.Pod, f.PodUID, f.PodAddress, f.Container, f.image[:], f.evidence[:],
			})
		}
	}
	return tx.insert(ctx, `INSERT INTO events (id, key, action, severity, template, policy, node_id,
		namespace, pod, pod_uid, pod_address, container, image, evidence)`, rows, "")
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

// newestEvents is the payload of EventsTopic.
func newestEvents(folds []*fold) string {
	newest := slices.Clone(folds)
	slices.SortFunc(newest, func(a, b *fold) int { return b.Last.Compare(a.Last) })
	var ids []string
	for _, f := range newest[:min(len(newest), newestTold)] {
		ids = append(ids, EventID(f.id))
	}
	return strings.Join(ids, ",")
}
