package event

import (
	"slices"

	"portcullis/policy"
)

// summary merges decisions until they fit into little room: first those that a reader of events would take
// for the same, and when there are too many different ones, all that rest on the same policy. Counts stay
// exact.
type summary struct {
	room   int // for the first kind, in bytes
	size   int
	alike  map[likeness]*merged
	others map[likeness]*merged
}

// likeness is what merged decisions have in common.
type likeness struct {
	action                                 policy.Action
	policy                                 string
	reason                                 policy.Reason
	operation, namespace, container, image string
}

type merged struct {
	Record
	number int64 // of the last that was merged
}

// maxOthers bounds the kinds of which there is no bound by nature: reasons and policies.
const maxOthers = 1000

func newSummary(room int) *summary {
	return &summary{room: room, alike: map[likeness]*merged{}, others: map[likeness]*merged{}}
}

// add takes in a record. Numbers must grow.
func (s *summary) add(number int64, f *found) {
	r := &f.Record
	like := likeness{r.Action, r.Policy, r.Reason, r.Operation, r.Namespace, r.Container, r.ImageID}
	if m, ok := s.alike[like]; ok {
		m.merge(number, r)
		return
	}
	reduced := f.complete().reduced()
	if r.ImageID == "" && r.Namespace == "" { // merged without them before
		s.addOther(number, &reduced)
		return
	}
	if size := len(reduced.encode()) + frameHeading + frameStart; s.size+size <= s.room {
		s.size += size
		s.alike[like] = &merged{reduced, number}
		return
	}
	s.addOther(number, &reduced)
}

func (s *summary) addOther(number int64, r *Record) {
	like := likeness{action: r.Action, policy: r.Policy, reason: r.Reason}
	if _, ok := s.others[like]; !ok && len(s.others) >= maxOthers {
		like.policy = ""
	}
	if m, ok := s.others[like]; ok {
		m.merge(number, r)
		return
	}
	s.others[like] = &merged{Record{
		Action: r.Action, Policy: like.policy, Template: r.Template, Reason: r.Reason, Cluster: r.Cluster, Severity: r.Severity,
		Because: "the spool of this node was full; what these decisions were about was not kept",
		Count:   r.Count, First: r.First, Last: r.Last, Summarised: true,
	}, number}
}

// merge counts r as well.
func (m *merged) merge(number int64, r *Record) {
	m.Count += r.Count
	if r.First.Before(m.First) {
		m.First = r.First
	}
	if r.Last.After(m.Last) {
		m.Last, m.Pod, m.Revision = r.Last, r.Pod, r.Revision
	}
	m.number = number
}

// reduced is the record without what takes room. The pod is an example.
func (r *Record) reduced() Record {
	less := *r
	less.Matches = fewer(r.Matches, 3)
	less.Asks = r.Asks[:min(len(r.Asks), 5)]
	less.PodUID, less.PodAddress, less.Message = "", "", ""
	less.Summarised = true
	return less
}

func (s *summary) empty() bool { return len(s.alike)+len(s.others) == 0 }

// list returns what was merged, by number.
func (s *summary) list() []*merged {
	var all []*merged
	for _, m := range s.alike {
		all = append(all, m)
	}
	for _, m := range s.others {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *merged) int { return int(min(max(a.number-b.number, -1), 1)) })
	return all
}

// decisions is how many were merged.
func (s *summary) decisions() int64 {
	var n int64
	for _, m := range s.list() {
		n += m.Count
	}
	return n
}
