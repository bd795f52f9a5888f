package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Event is decisions of one action, of one policy, on one image, for one container of a node.
type Event struct {
	Decision // Findings are not read
	ID       string
	Node     EventNode
	Position EventPosition
}

// EventOrder is how a list of events is sorted.
type EventOrder struct {
	ByCount   bool // else by the last time
	Ascending bool
}

// EventPosition is where in a list an event stands.
type EventPosition struct {
	Value int64 `json:"v"` // count or last time
	Event int64 `json:"e"`
}

// EventID is how the API names an event.
func EventID(id int64) string { return fmt.Sprintf("%016x", id) }

// ParseEventID returns ErrNotFound for what is not an ID.
func ParseEventID(id string) (int64, error) {
	number, err := strconv.ParseInt(id, 16, 64)
	if err != nil || EventID(number) != id {
		return 0, fmt.Errorf("event %q: %w", id, ErrNotFound)
	}
	return number, nil
}

func (o EventOrder) column() string {
	if o.ByCount {
		return "c.count"
	}
	return "c.last_time"
}

// by sorts by the order's column and then by event.
func (o EventOrder) by() string {
	direction := " DESC"
	if o.Ascending {
		direction = ""
	}
	return " ORDER BY " + o.column() + direction + ", c.event" + direction
}

// after asks for what follows the position.
func (o EventOrder) after(w *conditions, p *EventPosition) {
	if p == nil {
		return
	}
	comparison := " < "
	if o.Ascending {
		comparison = " > "
	}
	w.add("(" + o.column() + ", c.event)" + comparison + "(" + w.param(p.Value) + ", " + w.param(p.Event) + ")")
}

// Events returns at most limit events after the position, and how many there are in all, counted no
// further than most.
func (tx *Tx) Events(ctx context.Context, f EventFilter, order EventOrder, after *EventPosition, limit, most int) ([]Event, int, error) {
	if err := tx.planEachTime(ctx); err != nil {
		return nil, 0, err
	}
	narrow, err := tx.narrow(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	count, err := tx.countEventsOf(ctx, narrow, most)
	if err != nil || count == 0 {
		return nil, count, err
	}
	w := &conditions{}
	var page string
	if count < most && !narrow.all() {
		// The few are found by their index and sorted.
		narrow.ofEvents(w)
		page = "WITH few AS MATERIALIZED (SELECT e.id FROM events e" + w.String() + ") SELECT c.event FROM few CROSS JOIN event_counts c"
		w.texts = []string{"c.event = few.id"}
	} else if page, err = tx.alongOrder(ctx, narrow, order, w); err != nil {
		return nil, 0, err
	}
	f.ofTimes(w)
	order.after(w, after)
	events, err := tx.events(ctx, page+w.String()+order.by()+" LIMIT "+w.param(limit), order, w.args)
	return events, count, err
}

// alongOrder begins the query of a page of many events: who goes along the order finds them soon. CROSS JOIN keeps SQLite to
// it, and PostgreSQL decides.
func (tx *Tx) alongOrder(ctx context.Context, f narrowFilter, order EventOrder, w *conditions) (string, error) {
	page := "SELECT c.event FROM event_counts c"
	if f.all() {
		return page, nil
	}
	if !order.ByCount && !order.Ascending {
		if err := tx.beginAtLastUse(ctx, f, w); err != nil {
			return "", err
		}
	}
	w.add("e.id = c.event")
	f.ofEvents(w)
	return page + " CROSS JOIN events e", nil
}

// beginAtLastUse leaves out what is newer than all that the filter lets through, such as of a policy that was switched off long
// ago. From there on it is soon found along the order, which PostgreSQL is told: it takes columns such as policy and
// namespace for independent, and so many events for a few, which it would read and sort. Where times are asked for, it
// knows how many there are.
func (tx *Tx) beginAtLastUse(ctx context.Context, f narrowFilter, w *conditions) error {
	kinds := &conditions{}
	f.ofKinds(kinds)
	if len(kinds.texts) == 0 {
		return nil
	}
	var used int64
	if err := tx.QueryRow(ctx, "SELECT COALESCE(MAX(k.use_time), 0) FROM event_kinds k"+kinds.String(), kinds.args...).Scan(&used); err != nil {
		return err
	}
	w.add("c.last_time <= ?", Micros(FromMicros(used).Add(useAgain)))
	if f.timed() {
		return nil
	}
	return tx.set(ctx, "enable_sort", "off")
}

func (tx *Tx) countEventsOf(ctx context.Context, f narrowFilter, most int) (int, error) {
	w := &conditions{}
	query := "SELECT 1 FROM events e"
	switch {
	case f.all():
		query = "SELECT 1 FROM event_counts c"
	case f.timed():
		query += " JOIN event_counts c ON c.event = e.id"
	}
	f.ofEvents(w)
	f.ofTimes(w)
	var count int
	err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM ("+query+w.String()+" LIMIT "+w.param(most)+") AS counted", w.args...).Scan(&count)
	return count, err
}

// Event returns ErrNotFound when there is none of that ID.
func (tx *Tx) Event(ctx context.Context, id string) (Event, error) {
	number, err := ParseEventID(id)
	if err != nil {
		return Event{}, err
	}
	events, err := tx.events(ctx, "SELECT CAST($1 AS BIGINT) AS event", EventOrder{}, []any{number})
	if err == nil && len(events) == 0 {
		err = fmt.Errorf("event %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return Event{}, err
	}
	return events[0], nil
}

// EventsOf returns those of the IDs, at most 400, that the filter lets through, the oldest first.
func (tx *Tx) EventsOf(ctx context.Context, ids []string, f EventFilter) ([]Event, error) {
	w := &conditions{}
	var numbers []any
	for _, id := range ids {
		if number, err := ParseEventID(id); err == nil && len(numbers) < newestTold {
			numbers = append(numbers, number)
		}
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	narrow, err := tx.narrow(ctx, f)
	if err != nil {
		return nil, err
	}
	oneOf(w, "e.id", numbers)
	w.add("c.event = e.id")
	narrow.ofEvents(w)
	f.ofTimes(w)
	return tx.events(ctx, "SELECT c.event FROM events e CROSS JOIN event_counts c"+w.String(), EventOrder{Ascending: true}, w.args)
}

// NewEvents returns those that became events since a time, whenever their decisions were made, the oldest first; where that
// is more than limit, the last of them.
func (tx *Tx) NewEvents(ctx context.Context, f EventFilter, since time.Time, limit int) ([]Event, error) {
	if err := tx.planEachTime(ctx); err != nil {
		return nil, err
	}
	narrow, err := tx.narrow(ctx, f)
	if err != nil {
		return nil, err
	}
	w := &conditions{}
	w.add("e.id >= ?", firstID(since))
	w.add("c.event = e.id")
	narrow.ofEvents(w)
	f.ofTimes(w)
	page := "SELECT c.event FROM events e CROSS JOIN event_counts c" + w.String() + " ORDER BY e.id DESC LIMIT " + w.param(limit)
	return tx.events(ctx, page, EventOrder{Ascending: true}, w.args)
}

// events reads the events of a page, which is a query of their IDs.
func (tx *Tx) events(ctx context.Context, page string, order EventOrder, args []any) ([]Event, error) {
	scan := func(row scanner) (Event, error) { return scanEvent(row, order) }
	events, err := collect(ctx, tx, scan, "WITH page AS MATERIALIZED ("+page+") "+eventsOfPage, args...)
	// Not by the database, which may have been told not to sort.
	slices.SortFunc(events, func(a, b Event) int {
		if !order.Ascending {
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(a.Position.Value, b.Position.Value), cmp.Compare(a.Position.Event, b.Position.Event))
	})
	return events, err
}

const eventsOfPage = `SELECT e.id, k.action, k.severity, k.template, k.policy, k.namespace, e.pod, e.pod_uid, e.pod_address, k.container,
		i.name, i.image_id, i.registry, v.detail, n.node_id, n.name, n.cluster, n.addresses,
		c.count, c.first_time, c.last_time, c.operation, c.revision
	FROM page CROSS JOIN events e JOIN event_counts c ON c.event = e.id JOIN event_kinds k ON k.id = e.kind
		JOIN event_images i ON i.id = k.image JOIN event_evidence v ON v.id = k.evidence JOIN event_nodes n ON n.node_id = e.node_id
	WHERE e.id = page.event`

// EachBlocked hands on the newest events of starts that were blocked since a time, at most so many, in no order.
func (tx *Tx) EachBlocked(ctx context.Context, since time.Time, most int, do func(Event) error) error {
	scan := func(row scanner) (Event, error) { return scanEvent(row, EventOrder{}) }
	return eachRow(ctx, tx, scan, do, `WITH page AS MATERIALIZED (SELECT c.event FROM event_counts c CROSS JOIN events e CROSS JOIN event_kinds k
		WHERE e.id = c.event AND k.id = e.kind AND k.action = 2 AND c.last_time >= $1 ORDER BY c.last_time DESC LIMIT $2) `+eventsOfPage, Micros(since), most)
}

func scanEvent(row scanner, order EventOrder) (Event, error) {
	var e Event
	var first, last int64
	var addresses string
	err := row.Scan(&e.Position.Event, &e.Action, &e.Severity, &e.Template, &e.Policy, &e.Namespace, &e.Pod, &e.PodUID, &e.PodAddress, &e.Container,
		&e.Image, &e.ImageID, &e.Registry, &e.Evidence, &e.Node.ID, &e.Node.Name, &e.Node.Cluster, &addresses,
		&e.Count, &first, &last, &e.Operation, &e.Revision)
	if addresses != "" {
		e.Node.Addresses = strings.Split(addresses, ",")
	}
	e.ID, e.First, e.Last = EventID(e.Position.Event), FromMicros(first), FromMicros(last)
	e.Position.Value = last
	if order.ByCount {
		e.Position.Value = e.Count
	}
	return e, err
}

// EventTotals are decisions by action.
type EventTotals struct{ Alerted, Blocked int64 }

func (t *EventTotals) add(action int, count int64) {
	if action == 2 {
		t.Blocked += count
	} else {
		t.Alerted += count
	}
}

// EventTrend is how many decisions there were in the quarter of an hour that began at Start.
type EventTrend struct {
	Start time.Time
	EventTotals
}

type trendRow struct {
	bucket, count int64
	action        int
}

func scanTrend(row scanner) (r trendRow, err error) {
	err = row.Scan(&r.bucket, &r.action, &r.count)
	return r, err
}

// Trend returns the totals of all that is kept, and of each quarter of an hour since from.
func (tx *Tx) Trend(ctx context.Context, from time.Time) (totals EventTotals, trend []EventTrend, err error) {
	all, err := collect(ctx, tx, scanTrend, "SELECT 0, action, CAST(SUM(count) AS BIGINT) FROM event_trend GROUP BY action")
	if err != nil {
		return totals, nil, err
	}
	for _, r := range all {
		totals.add(r.action, r.count)
	}
	rows, err := collect(ctx, tx, scanTrend, "SELECT bucket, action, count FROM event_trend WHERE bucket >= $1 ORDER BY bucket", from.Unix()/trendSeconds)
	for _, r := range rows {
		one := EventTrend{Start: time.Unix(r.bucket*trendSeconds, 0).UTC()}
		one.add(r.action, r.count)
		trend = append(trend, one)
	}
	return totals, trend, err
}

// PolicyHits counts the decisions of each of the policies since the full hour before from.
func (tx *Tx) PolicyHits(ctx context.Context, policies []string, from time.Time) (map[string]EventTotals, error) {
	type hit struct {
		policy string
		action int
		count  int64
	}
	hits := map[string]EventTotals{}
	err := inChunks(policies, func(some []string) error {
		w := &conditions{}
		oneOf(w, "policy", some)
		w.add("hour >= " + w.param(from.Unix()/hitSeconds))
		rows, err := collect(ctx, tx, func(row scanner) (h hit, err error) {
			err = row.Scan(&h.policy, &h.action, &h.count)
			return h, err
		}, "SELECT policy, action, CAST(SUM(count) AS BIGINT) FROM event_policy_hits"+w.String()+" GROUP BY policy, action", w.args...)
		for _, h := range rows {
			totals := hits[h.policy]
			totals.add(h.action, h.count)
			hits[h.policy] = totals
		}
		return err
	})
	return hits, err
}
