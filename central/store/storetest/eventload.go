package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"portcullis/central/store"
)

// EventLoad makes decisions as a large cluster would: 1,000 nodes, 200 namespaces, 2,000 images and 40
// policies, over 180 days, the same for the same seed.
type EventLoad struct {
	random *rand.Rand
	now    time.Time
	next   int64 // number of the next pod
}

// NewEventLoad makes a load whose newest decisions are made now.
func NewEventLoad(now time.Time, seed uint64) *EventLoad {
	return &EventLoad{random: rand.New(rand.NewPCG(seed, 0)), now: now} //nolint:gosec // G404: not a secret
}

// Distinct returns a batch of decisions of one node that are events of their own.
func (l *EventLoad) Distinct(size int) store.Batch {
	id := l.random.IntN(1000)
	b := store.Batch{
		Node:  store.EventNode{ID: fmt.Sprintf("node-%04d", id), Name: fmt.Sprintf("worker-%04d", id), Cluster: fmt.Sprint("cluster-", id%5), Addresses: []string{fmt.Sprintf("10.0.%d.%d", id/250, id%250)}},
		Spool: store.NewID(), Through: int64(size),
	}
	for range size {
		b.Decisions = append(b.Decisions, l.decision())
	}
	return b
}

// Again is the batch's decisions made once more, in another spool.
func (l *EventLoad) Again(b store.Batch) store.Batch {
	b.Spool = store.NewID()
	return b
}

func (l *EventLoad) decision() store.Decision {
	l.next++
	image, policy, namespace := skewed(l.random, 2000), skewed(l.random, 40), skewed(l.random, 200)
	last := l.now.Add(-time.Duration(l.random.Int64N(int64(180 * 24 * time.Hour))))
	d := store.Decision{
		Action: 1 + l.random.IntN(2), Severity: 3 + image%4, Template: "RiskyImage", Policy: fmt.Sprint("policy-", policy),
		Namespace: fmt.Sprint("team-", namespace), Pod: fmt.Sprintf("app-%d-%08x", image, l.next), PodUID: fmt.Sprintf("%032x", l.random.Uint64()),
		PodAddress: fmt.Sprintf("10.%d.%d.%d", 64+l.random.IntN(64), l.random.IntN(256), l.random.IntN(256)), Container: "app",
		Image: fmt.Sprintf("registry.example.com/team-%d/app-%d:1.%d", namespace%20, image, image%7), ImageID: fmt.Sprintf("sha256:%064x", image), Registry: "registry.example.com",
		Operation: "CreateContainer", Revision: "17", Count: 1 + int64(skewed(l.random, 500)), First: last.Add(-time.Minute), Last: last,
	}
	d.Evidence = fmt.Appendf(nil, "evidence of policy %d on image %d, %0512d", policy, image, 0)
	d.Findings = func() (all []string) {
		for i := range 1 + image%10 {
			all = append(all, fmt.Sprintf("CVE-2025-%05d", (image*7+i*31)%5000))
		}
		return all
	}
	return d
}

// skewed is a number below n, small ones much more often.
func skewed(random *rand.Rand, n int) int {
	f := random.Float64()
	return int(f * f * f * float64(n))
}

// LoadEvents adds so many events, and tells the progress.
func LoadEvents(ctx context.Context, s *store.Store, load *EventLoad, events int, progress func(done int)) error {
	for done := 0; done < events; {
		var batches []store.Batch
		for range 10 {
			batches = append(batches, load.Distinct(1000))
			done += 1000
		}
		if _, err := s.AddDecisions(ctx, load.now, batches); err != nil {
			return err
		}
		progress(done)
	}
	return nil
}
