package events

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/scanner-client/verdict"
)

const (
	maxValues = 100 // of one field of a filter
	maxText   = 200 // characters of what is looked for
	maxName   = 512 // characters of a name as it is kept
)

// filter reads a filter; the error names every mistake.
func filter(f *portcullisv1.EventFilter) (store.EventFilter, error) {
	c := &checks{}
	kept := store.EventFilter{
		Templates: c.values("templates", f.GetTemplates()), Policies: c.values("policies", f.GetPolicies()),
		Nodes: c.values("nodes", f.GetNodes()), Clusters: c.values("clusters", f.GetClusters()), Namespaces: c.values("namespaces", f.GetNamespaces()),
		Address: c.text("address", f.GetAddress()), Image: c.text("image", f.GetImage()), ImageID: c.text("image_id", f.GetImageId()),
		Pod: c.text("pod", f.GetPod()), Container: c.text("container", f.GetContainer()), Finding: c.text("finding", f.GetFinding()),
		From: c.time("from", f.GetFrom()), To: c.time("to", f.GetTo()),
	}
	for i, action := range f.GetActions() {
		c.expect(action == portcullisv1.Action_ACTION_ALERT || action == portcullisv1.Action_ACTION_BLOCK, fmt.Sprintf("actions[%d]", i), "%d is not an action; write ACTION_ALERT or ACTION_BLOCK", action)
		if i < maxValues {
			kept.Actions = append(kept.Actions, int(action))
		}
	}
	for i, name := range c.values("severities", f.GetSeverities()) {
		known := slices.Contains(verdict.SeverityNames(), name)
		c.expect(known, fmt.Sprintf("severities[%d]", i), "%q is not known; write one of %s", name, strings.Join(verdict.SeverityNames(), ", "))
		kept.Severities = append(kept.Severities, severityRank(name))
	}
	return kept, c.err("filter.")
}

// checks gathers mistakes in a request.
type checks struct {
	problems []*portcullisv1.FieldProblem
}

func (c *checks) expect(ok bool, field, format string, args ...any) {
	if !ok {
		c.problems = append(c.problems, rpc.Problem(field, format, args...))
	}
}

func (c *checks) err(prefix string) error {
	if c.problems == nil {
		return nil
	}
	for _, p := range c.problems {
		p.Field = prefix + p.GetField()
	}
	return rpc.Invalid(c.problems...)
}

func (c *checks) values(field string, values []string) []string {
	c.expect(len(values) <= maxValues, field, "has %d values, at most %d can be looked for", len(values), maxValues)
	for i, value := range values[:min(len(values), maxValues)] {
		c.limit(fmt.Sprintf("%s[%d]", field, i), value, maxName)
	}
	return values
}

func (c *checks) text(field, value string) string {
	c.limit(field, value, maxText)
	return value
}

func (c *checks) limit(field, value string, most int) {
	n := len([]rune(value))
	c.expect(n <= most, field, "has %d characters, at most %d can be looked for", n, most)
	c.expect(!strings.ContainsRune(value, 0), field, "holds a zero byte, which no name does")
}

func (c *checks) time(field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	c.expect(t.IsValid(), field, "is not a time; write such as 2026-11-23T12:00:00Z")
	return t.AsTime()
}

var orders = map[portcullisv1.EventOrder]store.EventOrder{
	portcullisv1.EventOrder_EVENT_ORDER_UNSPECIFIED:    {},
	portcullisv1.EventOrder_EVENT_ORDER_LAST_TIME_DESC: {},
	portcullisv1.EventOrder_EVENT_ORDER_LAST_TIME_ASC:  {Ascending: true},
	portcullisv1.EventOrder_EVENT_ORDER_COUNT_DESC:     {ByCount: true},
	portcullisv1.EventOrder_EVENT_ORDER_COUNT_ASC:      {ByCount: true, Ascending: true},
}
