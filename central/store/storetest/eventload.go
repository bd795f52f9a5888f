package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"portcullis/central/store"
)

// EventLoad makes decisions as a large cluster would over half a year: 1,000 nodes, 200 namespaces, 2,000
// images and 40 policies, the same for the same seed.
type EventLoad struct {
	random *rand.Rand
	now    time.Time
	next   int64 // number of the next batch
}

// history is how long the events that LoadEvents adds took to happen.
const history = 180 * 24 * time.Hour

// NewEventLoad makes a load whose newest decisions are made now.
func NewEventLoad(now time.Time, seed uint64) *EventLoad {
	return &EventLoad{random: rand.New(rand.NewPCG(seed, 0)), now: now} //nolint:gosec // G404: not a secret
}

// Distinct returns a batch of decisions of one node that are events of their own.
func (l *EventLoad) Distinct(size int) store.Batch {
	id := l.random.IntN(1000)
	b := l.batch(store.EventNode{
		ID: fmt.Sprintf("0198f000-0000-7000-8000-%08x%04x", uint32(id)*2654435761, id), Name: fmt.Sprintf("worker-%04d", id), Cluster: fmt.Sprint("cluster-", id%5), //nolint:gosec // G115: below 1000
		Addresses: []string{fmt.Sprintf("10.0.%d.%d", id/250, id%250)},
	})
	b.Through = int64(size)
	for range size {
		b.Decisions = append(b.Decisions, l.decision(id))
	}
	return b
}

// Strange returns such a batch, but each decision is by a policy and on an image that nobody else has.
func (l *EventLoad) Strange(size int) store.Batch {
	b := l.Distinct(size)
	for i := range b.Decisions {
		d := &b.Decisions[i]
		d.Image, d.ImageID = "strange.example.com/"+d.PodUID, "sha256:"+d.PodUID+d.PodUID
		d.Evidence = append(d.Evidence, d.PodUID...)
		d.Findings = func() []string { return []string{d.PodUID, d.PodUID + "-2", d.PodUID + "-3"} }
	}
	return b
}

// Again is the batch's decisions made once more, now.
func (l *EventLoad) Again(b store.Batch) store.Batch {
	again := l.batch(b.Node)
	again.Through = b.Through
	for _, d := range b.Decisions {
		d.Last = l.lately()
		again.Decisions = append(again.Decisions, d)
	}
	return again
}

func (l *EventLoad) batch(node store.EventNode) store.Batch {
	l.next++
	return store.Batch{Node: node, Spool: fmt.Sprint("spool ", l.next)}
}

func (l *EventLoad) lately() time.Time {
	return l.now.Add(-time.Duration(l.random.Int64N(int64(time.Hour))))
}

// decision is of one of a node's 254 addresses and of one of the 60 images that it runs. An image belongs to
// one workload, which two teams run and which violates three policies.
func (l *EventLoad) decision(node int) store.Decision {
	image := skewed(rand.New(rand.NewPCG(uint64(node), l.random.Uint64N(60))), 2000) //nolint:gosec // G115, G404: below 1000, not a secret
	policy, namespace := (image*image+7*skewed(l.random, 3))%40, (image+100*l.random.IntN(2))%200
	last := l.lately()
	d := store.Decision{
		Action: 1 + policy%2, Severity: 3 + image%4, Template: "RiskyImage", Policy: fmt.Sprint("policy-", policy),
		Namespace: fmt.Sprint("team-", namespace), Pod: fmt.Sprintf("app-%d-%s-%s", image, l.generated(9), l.generated(5)), PodUID: fmt.Sprintf("%016x%016x", l.random.Uint64(), l.random.Uint64()),
		PodAddress: fmt.Sprintf("10.%d.%d.%d", 64+node/256, node%256, 1+l.random.IntN(254)), Container: "app",
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

// generated is a part of a pod's name that Kubernetes made.
func (l *EventLoad) generated(length int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	text := make([]byte, length)
	for i := range text {
		text[i] = letters[l.random.IntN(len(letters))]
	}
	return string(text)
}

// skewed is a number below n, small ones much more often.
func skewed(random *rand.Rand, n int) int {
	f := random.Float64()
	return int(f * f * f * float64(n))
}

// LoadEvents adds so many events in the order in which they happened, the last of them now.
func LoadEvents(ctx context.Context, s *store.Store, load *EventLoad, events int) error {
	now, began := load.now, load.now.Add(-history)
	for done := 0; done < events; {
		load.now = began.Add(time.Duration(float64(history) * float64(done) / float64(events)))
		var batches []store.Batch
		for range 10 {
			batches = append(batches, load.Distinct(1000))
			done += 1000
		}
		if _, err := s.AddDecisions(ctx, load.now, batches); err != nil {
			return err
		}
	}
	load.now = now
	return nil
}
