package scanner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portcullis/scanner-client/internal/compact"
	"portcullis/scanner-client/verdict"
)

// CacheOptions are the bounds of a Cache; zero values take the defaults.
type CacheOptions struct {
	Size   int // verdicts kept at most; default 10,000
	Memory int // bytes that they may take, as estimated; default 32 MiB
	// Open is how many findings are kept ready for use; the others are unpacked when they are asked
	// for, which takes some microseconds a verdict. Default 10,000 findings, about 3 MiB.
	Open int
	// TTL is how long a verdict is believed before the source is asked again; default 1h. One that is
	// used in the last quarter of that time is looked up again at once, so that nobody has to wait.
	TTL time.Duration
	// NegativeTTL is the same for "unscanned" and for what is incomplete; default 10s.
	NegativeTTL time.Duration
	// FailureTTL is the same for a lookup that has brought nothing but an error; default 2s. The start of
	// one container asks several times, and a source that fails need hear it once.
	FailureTTL time.Duration
	// Timeout bounds how long Verdict waits for the source; default 2s. On expiry the caller gets
	// ErrTimeout and the lookup goes on for up to FlightTimeout.
	Timeout       time.Duration
	FlightTimeout time.Duration // default 1m
	Images        Images        // default: images have no names
	Lookups       int           // lookups that ask the source at a time; default 32, the others wait for their turn
	Warmers       int           // of these, how many for Warm; default 2
	// Origin tells apart what verdicts come from and are made for. A snapshot of another origin is not
	// used.
	Origin string
	Now    func() time.Time
}

func (o CacheOptions) withDefaults() CacheOptions {
	setDefault(&o.Size, 10_000)
	setDefault(&o.Memory, 32<<20)
	setDefault(&o.Open, 10_000)
	setDefault(&o.TTL, time.Hour)
	setDefault(&o.NegativeTTL, 10*time.Second)
	setDefault(&o.FailureTTL, 2*time.Second)
	setDefault(&o.Timeout, 2*time.Second)
	setDefault(&o.FlightTimeout, time.Minute)
	setDefault(&o.Images, Images(nameless{}))
	setDefault(&o.Lookups, 32)
	setDefault(&o.Warmers, 2)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

type nameless struct{}

func (nameless) Image(_ context.Context, id string) (Image, error) { return Image{ID: id}, nil }

// Cache is a bounded LRU of verdicts in front of a Source. It is safe for concurrent use.
type Cache struct {
	source  Source
	options CacheOptions

	lookups sync.WaitGroup
	asking  chan struct{}   // holds as many as may ask the source at a time
	ctx     context.Context // of every lookup: callers come and go
	cancel  context.CancelFunc

	mu      sync.Mutex
	entries *simplelru.LRU[string, *entry]
	pool    *compact.Pool
	open    *openVerdicts
	flights map[string]*flight
	closed  bool
	bytes   int // of the entries; the pool counts its own
	stats   Stats
}

// entry is one cached answer. The expiry is here because golang-lru's expirable cache leaks a goroutine.
type entry struct {
	packed  []byte // nil: unscanned, or nothing but a failure
	failure error  // why the verdict is incomplete, if it is
	names   string // of the image, as joinNames writes them
	checked bool   // whether its names are still right is being found out
	expires time.Time
	renew   time.Time // from when on using it begins the next lookup
}

// entryCost is what an entry takes besides its texts, in bytes: itself and its place in the list and in
// the maps.
const entryCost = 320

func (e *entry) cost(id string) int { return entryCost + len(id) + len(e.packed) + len(e.names) }

// NewCache makes a cache in front of source. Close it to end its lookups.
func NewCache(source Source, options CacheOptions) (*Cache, error) {
	c := &Cache{source: source, options: options.withDefaults(), flights: map[string]*flight{}}
	c.asking = make(chan struct{}, c.options.Lookups)
	if err := c.empty(); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// empty makes the cache hold nothing.
func (c *Cache) empty() error {
	entries, err := simplelru.NewLRU(c.options.Size, c.released)
	if err != nil {
		return fmt.Errorf("verdict cache of %d entries: %w", c.options.Size, err)
	}
	c.entries, c.pool, c.bytes = entries, compact.NewPool(), 0
	c.open = newOpenVerdicts(c.options.Open)
	return nil
}

// released is called for every entry that leaves the list.
func (c *Cache) released(id string, e *entry) {
	c.open.close(id)
	c.bytes -= e.cost(id)
	if e.packed != nil {
		c.pool.Drop(e.packed)
	}
}

// Verdict returns the verdict of the image with this ID. Its errors are ErrUnscanned, ErrTimeout,
// ErrClosed, ctx's own, and those of the source. A verdict together with an error is incomplete: what it
// says holds, and of what it does not cover nothing is known because a source failed.
func (c *Cache) Verdict(ctx context.Context, imageID string) (*verdict.Verdict, error) {
	c.mu.Lock()
	if known, ok := c.recall(imageID); ok {
		c.stats.Hits++
		c.mu.Unlock()
		return known.verdict, known.err
	}
	c.stats.Misses++
	f := c.look(imageID, nil)
	c.mu.Unlock()
	timer := time.NewTimer(c.options.Timeout)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.verdict, f.err
	case <-timer.C:
		c.count(&c.stats.Timeouts)
		return nil, ErrTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Known returns what Verdict would, if that is ready for use; known is false when it is not, and also
// when others use the cache at the moment. It never waits.
func (c *Cache) Known(imageID string) (v *verdict.Verdict, known bool, err error) {
	if !c.mu.TryLock() {
		return nil, false, nil
	}
	defer c.mu.Unlock()
	if e := c.fresh(imageID); e == nil || e.packed != nil && c.open.get(imageID) == nil {
		return nil, false, nil
	}
	recalled, known := c.recall(imageID)
	if known {
		c.stats.Hits++
	}
	return recalled.verdict, known, recalled.err
}

// answer is what Verdict returns.
type answer struct {
	verdict *verdict.Verdict
	err     error
}

// fresh returns the entry of an image that is still believed, nil when there is none. The caller holds
// the lock.
func (c *Cache) fresh(imageID string) *entry {
	if e, ok := c.entries.Get(imageID); ok && c.options.Now().Before(e.expires) {
		return e
	}
	return nil
}

// recall answers from memory, if it can. The caller holds the lock.
func (c *Cache) recall(imageID string) (answer, bool) {
	e, ok := c.entries.Get(imageID)
	if !ok {
		return answer{}, false
	}
	now := c.options.Now()
	switch {
	case !now.Before(e.expires):
		return answer{}, false
	case e.packed == nil && e.failure != nil:
		return answer{nil, e.failure}, true
	case e.packed == nil:
		return answer{nil, ErrUnscanned}, true
	case e.failure == nil && !now.Before(e.renew):
		e.renew = now.Add(c.options.NegativeTTL) // when the source fails, not at every use
		c.look(imageID, nil)
	}
	v, err := c.unpacked(imageID, e)
	if err != nil { // it was damaged before it was kept
		c.entries.Remove(imageID)
		return answer{}, false
	}
	return answer{v, e.failure}, true
}

func (c *Cache) unpacked(imageID string, e *entry) (*verdict.Verdict, error) {
	if v := c.open.get(imageID); v != nil {
		return v, nil
	}
	v, err := c.pool.Unpack(e.packed, canonicalID(imageID))
	if err == nil {
		c.open.add(imageID, v)
	}
	return v, err
}

// store keeps an answer, and returns the verdict as it will be given from now on. The caller holds the
// lock.
func (c *Cache) store(imageID string, image Image, v *verdict.Verdict, failure error) *verdict.Verdict {
	if e := c.fresh(imageID); failure != nil && e != nil && e.packed != nil && e.failure == nil {
		return v // what is known for sure is good until it expires
	}
	e := &entry{failure: failure, names: joinNames(image), expires: c.options.Now().Add(c.options.NegativeTTL)}
	if v != nil {
		e.packed = c.pool.Pack(v)
		if failure == nil {
			e.expires = c.options.Now().Add(c.options.TTL)
		}
	} else if failure != nil {
		e.expires = c.options.Now().Add(c.options.FailureTTL)
	}
	c.insert(imageID, e)
	if v == nil {
		return nil
	}
	if unpacked, err := c.unpacked(imageID, e); err == nil {
		return unpacked
	}
	return v
}

// insert adds an entry in place of an older one, and makes room for it.
func (c *Cache) insert(imageID string, e *entry) {
	e.renew = e.expires.Add(-c.options.TTL / 4)
	c.entries.Remove(imageID)
	if c.entries.Add(imageID, e) {
		c.stats.Evicted++
	}
	c.bytes += e.cost(imageID)
	for c.bytes+c.pool.Bytes() > c.options.Memory && c.entries.Len() > 1 {
		c.entries.RemoveOldest()
		c.stats.Evicted++
	}
}

// Forget drops what is known of these images, so that the next caller asks the source again. A lookup
// that is under way may have seen the old state, so its answer is not kept either.
func (c *Cache) Forget(imageIDs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range imageIDs {
		c.forget(id)
	}
}

func (c *Cache) forget(id string) {
	c.entries.Remove(id)
	if f := c.flights[id]; f != nil {
		f.stale = true
		delete(c.flights, id)
	}
}

// ForgetWhere forgets the images for which concerns says yes, and returns their IDs. It is given the
// names that the runtime held for an image when it was looked up.
func (c *Cache) ForgetWhere(concerns func(Image) bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var forgotten []string
	for _, id := range c.entries.Keys() {
		if e, ok := c.entries.Peek(id); ok && concerns(splitNames(id, e.names)) {
			forgotten = append(forgotten, id)
		}
	}
	for id, f := range c.flights {
		// One without names has not asked the source yet, and will get the new answer.
		if f.named && concerns(f.image) {
			forgotten = append(forgotten, id)
		}
	}
	for _, id := range forgotten {
		c.forget(id)
	}
	return forgotten
}

// ForgetRenamed forgets those of the images that had other names when they were looked up, and returns their
// IDs: a report may be about them by a name that they have got since.
func (c *Cache) ForgetRenamed(images []Image) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var forgotten []string
	for _, image := range images {
		e, ok := c.entries.Peek(image.ID)
		f := c.flights[image.ID]
		if ok && e.names != joinNames(image) || f != nil && f.named && joinNames(f.image) != joinNames(image) {
			c.forget(image.ID)
			forgotten = append(forgotten, image.ID)
		}
	}
	return forgotten
}

// ForgetAll forgets every image.
func (c *Cache) ForgetAll() { c.ForgetWhere(func(Image) bool { return true }) }

// joinNames writes the names of an image in one text, which takes less memory than lists.
func joinNames(image Image) string {
	names := slices.Concat(image.Tags, image.Digests)
	slices.Sort(names)
	return strings.Join(names, "\n")
}

func splitNames(id, names string) Image {
	image := Image{ID: canonicalID(id)}
	for name := range strings.SplitSeq(names, "\n") {
		switch {
		case name == "":
		case strings.Contains(name, "@"):
			image.Digests = append(image.Digests, name)
		default:
			image.Tags = append(image.Tags, name)
		}
	}
	return image
}

// Close ends the lookups under way and waits for them. Verdict answers from memory afterwards.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true // under the lock: from here on look begins nothing
	c.mu.Unlock()
	c.cancel()
	c.lookups.Wait()
	return nil
}

// Stats counts what the cache has done since it was made, and what it holds.
type Stats struct {
	Hits, Misses uint64
	Timeouts     uint64 // misses that did not get an answer in time
	Failures     uint64 // lookups that ended in an error
	Evicted      uint64 // answers dropped to make room
	Size         int    // answers in memory, "unscanned" included
	Lookups      int    // under way
	Findings     int    // distinct findings in memory
	Bytes        int    // that all this takes, as estimated
}

// Stats returns the counts now.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Size, stats.Lookups, stats.Findings = c.entries.Len(), len(c.flights), c.pool.Len()
	stats.Bytes = c.bytes + c.pool.Bytes()
	return stats
}

func (c *Cache) count(counter *uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*counter++
}
