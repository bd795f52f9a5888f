package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Topics of notifications: of a node that was removed, its ID, and of a change of verdicts, its number.
const (
	RemovedNodesTopic = "removed-nodes"
	VerdictsTopic     = "verdicts"
)

// Node is a machine that joined.
type Node struct {
	ID              string
	Name            string
	Cluster         string
	JoinTime        time.Time
	LastContactTime time.Time
	ExpireTime      time.Time // of its newest certificate
	NodeStatus

	// Connected and ImageCount are for who reads.
	Connected  bool
	ImageCount int64
}

// NodeStatus is what a node tells of itself.
type NodeStatus struct {
	Addresses      []string
	Version        string
	RuntimeVersion string
	KernelVersion  string
	Platform       string
	Bundle         int64 // in force
	RejectedBundle int64
	Rejection      string
	ClockSkew      time.Duration
}

// Equal tells whether both say the same.
func (s *NodeStatus) Equal(o *NodeStatus) bool {
	return slices.Equal(s.Addresses, o.Addresses) && s.Version == o.Version && s.RuntimeVersion == o.RuntimeVersion &&
		s.KernelVersion == o.KernelVersion && s.Platform == o.Platform && s.Bundle == o.Bundle &&
		s.RejectedBundle == o.RejectedBundle && s.Rejection == o.Rejection && s.ClockSkew == o.ClockSkew
}

const nodeColumns = `n.id, n.name, n.cluster, n.addresses, n.version, n.runtime_version, n.kernel_version, n.platform, n.bundle,
	n.rejected_bundle, n.rejection, n.clock_skew, n.join_time, n.last_contact_time, n.expire_time, r.id IS NOT NULL,
	(SELECT COUNT(*) FROM node_images i WHERE i.node_id = n.id)`

func scanNode(row scanner) (Node, error) {
	var n Node
	var addresses string
	var skew, joined, contact, expires int64
	err := row.Scan(&n.ID, &n.Name, &n.Cluster, &addresses, &n.Version, &n.RuntimeVersion, &n.KernelVersion, &n.Platform, &n.Bundle,
		&n.RejectedBundle, &n.Rejection, &skew, &joined, &contact, &expires, &n.Connected, &n.ImageCount)
	if err != nil {
		return n, err
	}
	n.ClockSkew = time.Duration(skew) * time.Microsecond
	n.JoinTime, n.LastContactTime, n.ExpireTime = FromMicros(joined), FromMicros(contact), FromMicros(expires)
	return n, json.Unmarshal([]byte(addresses), &n.Addresses)
}

// replicaLife is how long a replica that does not say that it lives is taken to live.
const replicaLife = 30 * time.Second

// nodesFrom joins each node with the replica that holds its stream, where one that lives does.
func nodesFrom(w *conditions, now time.Time) string {
	return " FROM nodes n LEFT JOIN replicas r ON r.id = n.replica AND r.alive_time > " + w.param(Micros(now.Add(-replicaLife)))
}

func encodeList(list []string) string {
	text, _ := json.Marshal(slices.Concat([]string{}, list)) // strings always can be
	return string(text)
}

func (n *Node) search() string { return searchable(append([]string{n.Name}, n.Addresses...)...) }

func searchable(texts ...string) string { return strings.ToLower(strings.Join(texts, "\n")) }

// CreateNode keeps a node that joined. The error is ErrExists when the cluster has one of that name.
func (tx *Tx) CreateNode(ctx context.Context, n Node) error {
	_, err := tx.Exec(ctx, `INSERT INTO nodes (id, name, cluster, addresses, search, version, runtime_version, kernel_version, platform, bundle,
		rejected_bundle, rejection, clock_skew, join_time, last_contact_time, expire_time, replica)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, '', 0, $10, $11, $12, '')`,
		n.ID, n.Name, n.Cluster, encodeList(n.Addresses), n.search(), n.Version, n.RuntimeVersion, n.KernelVersion, n.Platform,
		Micros(n.JoinTime), Micros(n.LastContactTime), Micros(n.ExpireTime))
	return err
}

// IsNode tells whether there is a node of that ID.
func (tx *Tx) IsNode(ctx context.Context, id string) (bool, error) {
	var count int
	err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM nodes WHERE id = $1", id).Scan(&count)
	return count == 1, err
}

// AreNodes returns those of the IDs that are nodes'.
func (tx *Tx) AreNodes(ctx context.Context, ids []string) (found []string, err error) {
	return found, inChunks(ids, func(part []string) error {
		w := &conditions{}
		oneOf(w, "id", part)
		some, err := collect(ctx, tx, scanText, "SELECT id FROM nodes"+w.String(), w.args...)
		found = append(found, some...)
		return err
	})
}

// Node returns ErrNotFound when there is none of that ID.
func (tx *Tx) Node(ctx context.Context, id string, now time.Time) (Node, error) {
	w := &conditions{}
	from := nodesFrom(w, now)
	w.add("n.id = ?", id)
	n, err := scanNode(tx.QueryRow(ctx, "SELECT "+nodeColumns+from+w.String(), w.args...))
	if err != nil {
		return Node{}, fmt.Errorf("node %q: %w", id, translate(err))
	}
	return n, nil
}

// NodeByName returns ErrNotFound when the cluster has none of that name.
func (tx *Tx) NodeByName(ctx context.Context, cluster, name string, now time.Time) (Node, error) {
	w := &conditions{}
	from := nodesFrom(w, now)
	w.add("n.cluster = ? AND n.name = ?", cluster, name)
	n, err := scanNode(tx.QueryRow(ctx, "SELECT "+nodeColumns+from+w.String(), w.args...))
	if err != nil {
		return Node{}, fmt.Errorf("node %q: %w", name, translate(err))
	}
	return n, nil
}

// DeleteNode ends a node's membership, and tells all replicas.
func (tx *Tx) DeleteNode(ctx context.Context, id string) error {
	tx.Notify(RemovedNodesTopic, id)
	_, err := tx.Exec(ctx, "DELETE FROM nodes WHERE id = $1", id)
	return err
}

// RenewNode notes until when a node's newest certificate is good.
func (tx *Tx) RenewNode(ctx context.Context, id string, expires time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE nodes SET expire_time = $2 WHERE id = $1", id, Micros(expires))
	return err
}

// NodeFilter narrows a list of nodes; what is empty does not.
type NodeFilter struct {
	Search   string // part of the name or of an address, in any case
	Clusters []string
	States   []NodeState
	Newest   int64 // bundle, by which states are told
}

// NodeState is how a node is; the numbers are the API's.
type NodeState int64

// The states.
const (
	NodeInForce  NodeState = 1
	NodeBehind   NodeState = 2
	NodeRejected NodeState = 3
	NodeSilent   NodeState = 4
)

// State tells how the node is when the newest bundle has that number.
func (n *Node) State(newest int64) NodeState {
	switch {
	case !n.Connected:
		return NodeSilent
	case n.Bundle == newest:
		return NodeInForce
	case n.RejectedBundle == newest:
		return NodeRejected
	}
	return NodeBehind
}

// state is State in SQL.
func (w *conditions) state(newest int64) string {
	number := w.param(newest)
	return fmt.Sprintf("CASE WHEN r.id IS NULL THEN %d WHEN n.bundle = %s THEN %d WHEN n.rejected_bundle = %s THEN %d ELSE %d END",
		NodeSilent, number, NodeInForce, number, NodeRejected, NodeBehind)
}

func (w *conditions) nodes(f *NodeFilter) {
	w.contains("n.search", f.Search)
	oneOf(w, "n.cluster", f.Clusters)
	if len(f.States) > 0 {
		oneOf(w, w.state(f.Newest), f.States)
	}
}

// Nodes returns at most limit nodes, by name and ID, that come after those of one.
func (tx *Tx) Nodes(ctx context.Context, f NodeFilter, afterName, afterID string, limit int, now time.Time) ([]Node, error) {
	w := &conditions{}
	from := nodesFrom(w, now)
	w.nodes(&f)
	w.add("(n.name, n.id) > (?, ?)", afterName, afterID)
	return collect(ctx, tx, scanNode, "SELECT "+nodeColumns+from+w.String()+" ORDER BY n.name, n.id LIMIT "+w.param(limit), w.args...)
}

// CountNodes counts those of the filter.
func (tx *Tx) CountNodes(ctx context.Context, f NodeFilter, now time.Time) (total int64, err error) {
	w := &conditions{}
	from := nodesFrom(w, now)
	w.nodes(&f)
	return total, tx.QueryRow(ctx, "SELECT COUNT(*)"+from+w.String(), w.args...).Scan(&total)
}

// CountNodeStates counts all nodes by state.
func (tx *Tx) CountNodeStates(ctx context.Context, newest int64, now time.Time) (map[NodeState]int64, error) {
	type row struct {
		state NodeState
		count int64
	}
	w := &conditions{}
	from := nodesFrom(w, now)
	rows, err := collect(ctx, tx, func(s scanner) (r row, err error) { return r, s.Scan(&r.state, &r.count) },
		"SELECT state, COUNT(*) FROM (SELECT "+w.state(newest)+" AS state"+from+") s GROUP BY state", w.args...)
	counts := map[NodeState]int64{}
	for _, r := range rows {
		counts[r.state] = r.count
	}
	return counts, err
}

// NodeNews is what a replica heard of a node lately.
type NodeNews struct {
	ID      string
	Contact time.Time
	Status  *NodeStatus // nil where it is as it was
	// Stream says what became of the stream to this replica: it began, it ended, or 0.
	Stream StreamChange
}

// StreamChange is what became of a node's stream.
type StreamChange int

// The changes.
const (
	StreamBegan StreamChange = 1
	StreamEnded StreamChange = 2
)

// NoteNodes writes what a replica heard. Nodes that were removed meanwhile are passed over.
func (tx *Tx) NoteNodes(ctx context.Context, replica string, news []NodeNews) error {
	for _, n := range news {
		if err := tx.noteNode(ctx, replica, &n); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) noteNode(ctx context.Context, replica string, n *NodeNews) error {
	w := &conditions{}
	set := "last_contact_time = " + w.param(Micros(n.Contact))
	switch n.Stream {
	case StreamBegan:
		set += ", replica = " + w.param(replica)
	case StreamEnded: // of another replica it may have begun meanwhile
		set += ", replica = CASE WHEN replica = " + w.param(replica) + " THEN '' ELSE replica END"
	}
	if s := n.Status; s != nil {
		set += ", addresses = " + w.param(encodeList(s.Addresses)) + ", version = " + w.param(s.Version) +
			", runtime_version = " + w.param(s.RuntimeVersion) + ", kernel_version = " + w.param(s.KernelVersion) +
			", platform = " + w.param(s.Platform) + ", bundle = " + w.param(s.Bundle) +
			", rejected_bundle = " + w.param(s.RejectedBundle) + ", rejection = " + w.param(s.Rejection) +
			", clock_skew = " + w.param(s.ClockSkew.Microseconds())
	}
	w.add("id = ?", n.ID)
	_, err := tx.Exec(ctx, "UPDATE nodes SET "+set+w.String(), w.args...)
	return err
}

// ReplicaLives notes that a replica does, and forgets those that have not for long.
func (tx *Tx) ReplicaLives(ctx context.Context, id string, now time.Time) error {
	if _, err := tx.Exec(ctx, "DELETE FROM replicas WHERE alive_time < $1", Micros(now.Add(-10*replicaLife))); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO replicas (id, alive_time) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET alive_time = excluded.alive_time", id, Micros(now))
	return err
}

// ReplicaEnds notes that a replica ended; the streams that it held have ended, too.
func (tx *Tx) ReplicaEnds(ctx context.Context, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM replicas WHERE id = $1", id)
	return err
}
