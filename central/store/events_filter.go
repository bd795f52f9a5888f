package store

import (
	"context"
	"regexp"
	"strings"
	"time"
)

// EventFilter narrows the events; what is empty does not.
type EventFilter struct {
	Actions    []int
	Severities []int
	Templates  []string
	Policies   []string
	Nodes      []string // names or IDs
	Clusters   []string
	Namespaces []string
	Address    string // of the node or the pod
	Image      string // part of the name, any case
	ImageID    string
	Pod        string // part of the name, any case; see workload
	Container  string // part of the name, any case
	Finding    string
	From, To   time.Time // of the last occurrence; To is not included
}

// generated is what Kubernetes' controllers append to the names of pods: of a Deployment or a CronJob two
// parts, of a DaemonSet one, of a StatefulSet a number. They use no vowels, so few words look like it.
var generated = regexp.MustCompile(`(-([0-9]+|[bcdfghjklmnpqrstvwxz2456789]{8,10}))?-[bcdfghjklmnpqrstvwxz2456789]{5}$|-[0-9]+$`)

// workload is the pod's name without what was generated, in lower case. There are few, where almost every
// event has a pod of its own: to look for a part of a name in millions of names would take seconds. So a
// part of a name is found in the workload's name, and a name from its beginning as far as is known.
func workload(pod string) string {
	pod = strings.ToLower(pod)
	return strings.TrimSuffix(pod, generated.FindString(pod))
}

// narrowFilter is a filter as it is asked of the events.
type narrowFilter struct {
	EventFilter
	addressed []string // nodes that have the address
	kind      string   // how a query names the column
}

// narrow prepares a filter. It looks up which nodes have the address: PostgreSQL would read all events to find those that are
// of one of the nodes or of a pod of the address, unless it is told the nodes.
func (tx *Tx) narrow(ctx context.Context, f EventFilter) (narrowFilter, error) {
	narrow := narrowFilter{EventFilter: f, kind: "e.kind"}
	if tx.dialect == sqlite && (len(f.Nodes) > 0 || f.Address != "") {
		narrow.kind = "+e.kind" // without its index, which SQLite would prefer though one node has fewer events
	}
	if f.Address == "" {
		return narrow, nil
	}
	var err error
	narrow.addressed, err = collect(ctx, tx, scanText, "SELECT node_id FROM event_node_addresses WHERE address = $1", f.Address)
	return narrow, err
}

// all tells that the filter asks nothing but times.
func (f narrowFilter) all() bool {
	w := &conditions{}
	f.ofEvents(w)
	return len(w.texts) == 0
}

func (f narrowFilter) timed() bool { return !f.From.IsZero() || !f.To.IsZero() }

// among asks that the column is in what a query of another table finds, unless nothing is asked of that.
func (w *conditions) among(column, query string, inner func()) {
	outside := w.texts
	w.texts = nil
	inner()
	inside := w.texts
	w.texts = outside
	if len(inside) > 0 {
		w.add(column + " IN (" + query + " WHERE " + strings.Join(inside, " AND ") + ")")
	}
}

// ofEvents adds what the filter asks of the table events.
func (f narrowFilter) ofEvents(w *conditions) {
	w.among(f.kind, "SELECT k.id FROM event_kinds k", func() { f.ofKinds(w) })
	w.among("e.node_id", "SELECT node_id FROM event_nodes", func() {
		if len(f.Nodes) > 0 {
			w.add("(name IN (" + list(w, f.Nodes) + ") OR node_id IN (" + list(w, f.Nodes) + "))")
		}
		oneOf(w, "cluster", f.Clusters)
	})
	if f.Address != "" {
		address := "e.pod_address = " + w.param(f.Address)
		if len(f.addressed) > 0 {
			address = "(" + address + " OR e.node_id IN (" + list(w, f.addressed) + "))"
		}
		w.add(address)
	}
	w.contains("lower(e.pod)", f.Pod)
}

// ofKinds adds what the filter asks of what many events have in common.
func (f EventFilter) ofKinds(w *conditions) {
	oneOf(w, "k.action", f.Actions)
	oneOf(w, "k.severity", f.Severities)
	oneOf(w, "k.template", f.Templates)
	oneOf(w, "k.policy", f.Policies)
	oneOf(w, "k.namespace", f.Namespaces)
	w.contains("lower(k.container)", f.Container)
	if f.Pod != "" {
		begins := "substr(" + w.param(strings.ToLower(f.Pod)) + ", 1, length(k.workload)) = k.workload"
		w.add("(" + w.like("k.workload", f.Pod) + " OR " + begins + ")")
	}
	w.among("k.image", "SELECT id FROM event_images", func() {
		w.contains("folded", f.Image)
		if f.ImageID != "" {
			w.add("image_id = ?", f.ImageID)
		}
	})
	if f.Finding != "" {
		w.add("k.evidence IN (SELECT evidence FROM event_findings WHERE finding = ?)", strings.ToLower(f.Finding))
	}
}

// ofTimes adds what the filter asks of the table event_counts.
func (f EventFilter) ofTimes(w *conditions) {
	if !f.From.IsZero() {
		w.add("c.last_time >= ?", Micros(f.From))
	}
	if !f.To.IsZero() {
		w.add("c.last_time < ?", Micros(f.To))
	}
}
