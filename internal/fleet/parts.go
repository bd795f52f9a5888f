package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/event"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
	"portcullis/uplink"
)

// Arrivals are when bundles were put in force.
type Arrivals struct {
	mu     sync.Mutex
	newest int64
	times  map[int64][]time.Time
	texts  map[int64]bundle
}

// bundle is one that nodes have.
type bundle struct{ documents, sum string }

func newArrivals() *Arrivals {
	return &Arrivals{times: map[int64][]time.Time{}, texts: map[int64]bundle{}}
}

// Newest is the newest bundle that any node has.
func (a *Arrivals) Newest() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.newest
}

// Of is when nodes put the bundle in force, in that order.
func (a *Arrivals) Of(number int64) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.times[number])
}

// add notes that a bundle is in force, and returns it as all nodes have it: to keep each node's own, or to compute its
// checksum, would be work that is not central's.
func (a *Arrivals) add(number int64, documents string) bundle {
	at := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = max(a.newest, number)
	a.times[number] = append(a.times[number], at)
	if _, known := a.texts[number]; !known {
		sum := sha256.Sum256([]byte(documents))
		a.texts[number] = bundle{documents, hex.EncodeToString(sum[:])}
	}
	return a.texts[number]
}

// policies are in force in memory.
type policies struct {
	arrivals *Arrivals

	mu     sync.Mutex
	number int64
	held   bundle
}

func (p *policies) Bundle() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

func (p *policies) BundleSHA256() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held.sum
}

func (p *policies) Documents() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held.documents
}

func (p *policies) Apply(number int64, documents, sum string) error {
	held := p.arrivals.add(number, documents)
	if documents != held.documents || sum != "" && sum != held.sum {
		return uplink.ErrOtherDocuments
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number, p.held = number, held
	return nil
}

// spool is decisions that central does not have, in memory.
type spool struct {
	name    string
	changed chan struct{}

	mu      sync.Mutex
	after   int64 // the number of the last record that central has
	records []*event.Record
	emptied func() // is told when it has all
}

func (s *spool) fill(records []*event.Record, emptied func()) {
	s.mu.Lock()
	s.records, s.emptied = records, emptied
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // it looks anyway
	}
}

func (s *spool) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

func (s *spool) Next(most int) (event.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := s.records[:min(most, len(s.records))]
	return event.Batch{Spool: s.name, After: s.after, Through: s.after + int64(len(some)), Records: some}, nil
}

func (s *spool) Acknowledge(through int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.after = s.records[through-s.after:], through
	if len(s.records) == 0 {
		s.emptied()
	}
	return nil
}

func (s *spool) Changed() <-chan struct{} { return s.changed }

// record is a decision about a container of its own, with three findings as evidence.
func record(i int, now time.Time) *event.Record {
	matched := policy.Match{Policy: fmt.Sprint("policy-", i%40), Template: "RiskyImage", Action: policy.Block}
	for k := range 3 {
		matched.Evidence = append(matched.Evidence, policy.Evidence{Vulnerability: &verdict.Vulnerability{
			ID: fmt.Sprintf("CVE-2026-%05d", (i*7+k)%5000), Severity: verdict.Critical, Package: "openssl", Version: "3.0.11-1", FixedVersion: "3.0.14-1", Type: "deb",
		}})
	}
	return &event.Record{
		Action: policy.Block, Policy: matched.Policy, Template: matched.Template, Reason: policy.ReasonPolicy, Because: "CVE-2026-00001 is critical",
		Message: "blocked by Portcullis: CVE-2026-00001 is critical", Matches: []policy.Match{matched}, Severity: "critical", Operation: "CreateContainer",
		Image: image(i % 200).Tags[0], ImageID: image(i % 200).ID, Cluster: "fleet", Namespace: fmt.Sprint("team-", i%20), Pod: fmt.Sprintf("app-%d-%08x", i%200, i),
		PodUID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i), PodAddress: "10.64.0.7", Container: "app", Revision: "17", Count: 1, First: now, Last: now,
	}
}

// Complaints counts what nodes log that is not good news.
type Complaints struct {
	logger *logrus.Logger

	mu    sync.Mutex
	count map[string]int
}

func newComplaints() *Complaints {
	c := &Complaints{logger: logrus.New(), count: map[string]int{}}
	c.logger.SetOutput(io.Discard)
	c.logger.SetLevel(logrus.WarnLevel)
	c.logger.AddHook(c)
	return c
}

// Levels and Fire make it a logrus.Hook.
func (*Complaints) Levels() []logrus.Level { return logrus.AllLevels }

// port is of the node's side of a connection.
var port = regexp.MustCompile(`:\d{4,5}->`)

// Fire counts one entry.
func (c *Complaints) Fire(entry *logrus.Entry) error {
	text := entry.Message
	if err, ok := entry.Data[logrus.ErrorKey]; ok {
		text = fmt.Sprintf("%s: %v", text, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[port.ReplaceAllString(text, "->")]++
	return nil
}

// Take returns what was logged since the last time, and how often.
func (c *Complaints) Take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := maps.Clone(c.count)
	clear(c.count)
	return taken
}
