package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	Decision             // the newest of them, with the count of all
	eventKey             // the same for decisions that are one event
	kind            hash // what the event has in common with events of pods like its own
	image, evidence hash // what the kind has in common with others
	workload        string
	id              int64
	isNew           bool
}

// eventKey begins with the node, so that what one node uploads is close together in the index.
type eventKey struct {
	node string
	key  hash
}

func compareKeys(a, b *fold) int {
	if order := strings.Compare(a.node, b.node); order != 0 {
		return order
	}
	return slices.Compare(a.key[:], b.key[:])
}

func newFold(node string, d Decision) fold {
	pod, action := d.PodUID, strconv.Itoa(d.Action)
	if pod == "" {
		pod = "name:" + d.Pod
	}
	f := fold{
		Decision: d, eventKey: eventKey{node, hashOf(d.Namespace, pod, d.Container, d.Policy, d.ImageID, action)},
		image: hashOf(d.Image, d.ImageID), evidence: hashOf(string(d.Evidence)), workload: workload(d.Pod),
	}
	f.kind = hashOf(action, strconv.Itoa(d.Severity), d.Template, d.Policy, d.Namespace, f.workload, d.Container, string(f.image[:]), string(f.evidence[:]))
	return f
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
	folds := map[eventKey]*fold{}
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
			if known, ok := folds[f.eventKey]; ok {
				known.add(f)
			} else {
				folds[f.eventKey] = &f
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
	return through, tx.writeFolds(ctx, now, slices.SortedFunc(maps.Values(folds), compareKeys), trend, hits)
}

// spoolsOfNode is how many spools of a node are remembered. A process of the node has one, and hands it on to the next.
const spoolsOfNode = 1000

// takeBatch moves the spool on if the batch begins where it ends. The row stays locked until the
// transaction ends, so that a batch that is sent twice at the same time is counted once.
func (tx *Tx) takeBatch(ctx context.Context, now time.Time, b Batch) (through int64, taken bool, err error) {
	if through, err = tx.lockSpool(ctx, now, b); err != nil || through != b.After || b.Through <= b.After {
		return through, false, err
	}
	if err := tx.putEventNode(ctx, b.Node); err != nil {
		return 0, false, err
	}
	_, err = tx.Exec(ctx, "UPDATE event_spools SET through = $3 WHERE node_id = $1 AND spool = $2", b.Node.ID, b.Spool, b.Through)
	return b.Through, true, err
}

// lockSpool locks the batch's spool and returns up to which record it is counted. It begins one that is not known, but only
// for a batch that begins it, too.
func (tx *Tx) lockSpool(ctx context.Context, now time.Time, b Batch) (through int64, err error) {
	err = tx.QueryRow(ctx, "UPDATE event_spools SET update_time = $3 WHERE node_id = $1 AND spool = $2 RETURNING through",
		b.Node.ID, b.Spool, Micros(now)).Scan(&through)
	switch unknown := errors.Is(err, sql.ErrNoRows); {
	case !unknown:
		return through, err
	case b.After != 0 || b.Through == 0:
		return 0, nil
	}
	// Another transaction may be beginning it.
	err = tx.QueryRow(ctx, `INSERT INTO event_spools (node_id, spool, through, update_time) VALUES ($1, $2, 0, $3)
		ON CONFLICT (node_id, spool) DO UPDATE SET update_time = excluded.update_time RETURNING through`,
		b.Node.ID, b.Spool, Micros(now)).Scan(&through)
	if err != nil {
		return 0, err
	}
	return through, tx.forgetSpools(ctx, b.Node.ID)
}

// forgetSpools forgets those of the node that were not used for the longest time, beyond spoolsOfNode.
func (tx *Tx) forgetSpools(ctx context.Context, node string) error {
	_, err := tx.Exec(ctx, `DELETE FROM event_spools WHERE node_id = $1 AND spool IN
		(SELECT spool FROM event_spools WHERE node_id = $1 ORDER BY update_time DESC, spool LIMIT 1000000 OFFSET $2)`, node, spoolsOfNode)
	return err
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
		func() error { return tx.putKinds(ctx, now, folds) },
		func() error { return tx.putEvents(ctx, now, folds) },
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
