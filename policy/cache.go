package policy

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portcullis/scanner-client/verdict"
)

// cache keeps decisions, the latest used first, so that a container like one already judged costs a
// map read. It is bounded by what its entries keep in memory, not by their number alone: one image may
// have two findings or twenty thousand.
type cache struct {
	seed maphash.Seed

	mu      sync.Mutex
	entries *simplelru.LRU[cacheKey, *cached]
	weight  int
}

// A unit of weight is about 250 bytes, the size of a finding.
const (
	entryWeight = 4
	maxWeight   = 32 << 10
)

// cacheKey is what most often differs between containers. The sum stands for the rest, which cached
// holds in full.
type cacheKey struct {
	image, namespace, cluster string
	sum                       uint64
}

// cached is one decision and everything that it was made from, so that equal sums cannot mix up two
// containers.
type cached struct {
	tags, digests []string
	asks          []Ask
	verdict       *verdict.Verdict
	failed        bool
	window        window
	weight        int
	decision      *Decision
}

func newCache() (*cache, error) {
	c := &cache{seed: maphash.MakeSeed()}
	entries, err := simplelru.NewLRU(maxWeight/entryWeight, func(_ cacheKey, e *cached) { c.weight -= e.weight })
	c.entries = entries
	return c, err
}

func (c *cache) key(container *Container) cacheKey {
	var h maphash.Hash
	h.SetSeed(c.seed)
	write := func(text string) {
		h.WriteString(text)
		h.WriteByte(0)
	}
	for _, tag := range container.Image.Tags {
		write(tag)
	}
	for _, digest := range container.Image.Digests {
		write(digest)
	}
	for _, ask := range container.Asks {
		write(ask.Parameter)
		write(ask.Detail)
	}
	return cacheKey{container.Image.ID, container.Namespace, container.Cluster, h.Sum64()}
}

// get returns the decision for the same question, nil when there is none that holds at now.
func (c *cache) get(key cacheKey, container *Container, k Knowledge, now time.Time) *Decision {
	c.mu.Lock()
	e, ok := c.entries.Get(key)
	c.mu.Unlock()
	if !ok || e.verdict != k.Verdict || e.failed != k.Failed || !e.window.contains(now) {
		return nil
	}
	if !slices.Equal(e.tags, container.Image.Tags) || !slices.Equal(e.digests, container.Image.Digests) || !slices.Equal(e.asks, container.Asks) {
		return nil
	}
	return e.decision
}

func (c *cache) put(key cacheKey, container *Container, k Knowledge, w window, d *Decision) {
	e := &cached{
		tags:     slices.Clone(container.Image.Tags),
		digests:  slices.Clone(container.Image.Digests),
		asks:     slices.Clone(container.Asks),
		verdict:  k.Verdict,
		failed:   k.Failed,
		window:   w,
		weight:   weigh(k.Verdict, d),
		decision: d,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key)
	c.entries.Add(key, e)
	c.weight += e.weight
	for c.weight > maxWeight && c.entries.Len() > 1 {
		c.entries.RemoveOldest()
	}
}

// weigh counts what an entry keeps in memory: its evidence, and the verdict that the evidence points into.
func weigh(v *verdict.Verdict, d *Decision) int {
	weight := entryWeight
	if v != nil {
		weight += len(v.Vulnerabilities) + len(v.Malware) + len(v.Secrets)
	}
	for _, m := range d.Matches {
		weight += len(m.Evidence)
	}
	for _, e := range d.Exempted {
		weight += len(e.Evidence)
	}
	return weight
}
