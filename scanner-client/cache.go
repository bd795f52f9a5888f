package scanner

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"portcullis/scanner-client/verdict"
)

// CacheOptions are the bounds of a Cache; zero values take the defaults.
type CacheOptions struct {
	Size        int           // verdicts kept at most; default 10,000
	TTL         time.Duration // how long a verdict is believed before the source is asked again; default 1h
	NegativeTTL time.Duration // the same for "unscanned"; default 10s
	// Timeout bounds how long Verdict waits for the source; default 2s. On expiry the caller gets
	// ErrTimeout and the lookup goes on for up to FlightTimeout.
	Timeout       time.Duration
	FlightTimeout time.Duration    // default 1m
	Now           func() time.Time // default time.Now
}

func (o CacheOptions) withDefaults() CacheOptions {
	setDefault(&o.Size, 10_000)
	setDefault(&o.TTL, time.Hour)
	setDefault(&o.NegativeTTL, 10*time.Second)
	setDefault(&o.Timeout, 2*time.Second)
	setDefault(&o.FlightTimeout, time.Minute)
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

// Cache is a bounded LRU of verdicts in front of a Source. It is safe for concurrent use.
type Cache struct {
	source  Source
	options CacheOptions
	entries *lru.Cache[string, entry]
	flights singleflight.Group
	// generation counts invalidations: a lookup that was under way during one must not store what
	// may be the old answer.
	generation   atomic.Uint64
	hits, misses atomic.Uint64
}

// entry is one cached answer; the verdict is nil when the image is unscanned. The expiry is here
// because golang-lru's expirable cache leaks a goroutine.
type entry struct {
	verdict *verdict.Verdict
	expires time.Time
}

// NewCache makes a cache in front of source.
func NewCache(source Source, options CacheOptions) (*Cache, error) {
	options = options.withDefaults()
	entries, err := lru.New[string, entry](options.Size)
	if err != nil {
		return nil, fmt.Errorf("verdict cache of %d entries: %w", options.Size, err)
	}
	return &Cache{source: source, options: options, entries: entries}, nil
}

// Verdict returns the verdict of the image with this ID. Its errors are ErrUnscanned, ErrTimeout,
// ctx's own, and those of the source.
func (c *Cache) Verdict(ctx context.Context, imageID string) (*verdict.Verdict, error) {
	if e, ok := c.entries.Get(imageID); ok && c.options.Now().Before(e.expires) {
		c.hits.Add(1)
		return e.answer()
	}
	c.misses.Add(1)
	flight := c.flights.DoChan(imageID, func() (any, error) { return c.look(imageID) })
	timer := time.NewTimer(c.options.Timeout)
	defer timer.Stop()
	select {
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(entry).answer()
	case <-timer.C:
		return nil, ErrTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e entry) answer() (*verdict.Verdict, error) {
	if e.verdict == nil {
		return nil, ErrUnscanned
	}
	return e.verdict, nil
}

// look asks the source on behalf of every caller that waits, so it has a context of its own.
func (c *Cache) look(imageID string) (entry, error) {
	generation := c.generation.Load()
	ctx, cancel := context.WithTimeout(context.Background(), c.options.FlightTimeout)
	defer cancel()
	found, err := c.source.Verdict(ctx, imageID)
	ttl := c.options.TTL
	if errors.Is(err, ErrUnscanned) {
		found, err, ttl = nil, nil, c.options.NegativeTTL
	}
	if err != nil {
		return entry{}, fmt.Errorf("verdict of %s: %w", imageID, err)
	}
	e := entry{verdict: found, expires: c.options.Now().Add(ttl)}
	c.entries.Add(imageID, e)
	if c.generation.Load() != generation {
		c.entries.Remove(imageID)
	}
	return e, nil
}

// Forget drops what is known of these images, so that the next caller asks the source again.
func (c *Cache) Forget(imageIDs ...string) {
	c.generation.Add(1)
	for _, id := range imageIDs {
		c.flights.Forget(id)
		c.entries.Remove(id)
	}
}

// Stats counts what the cache has done since it was made.
type Stats struct {
	Hits, Misses uint64
	Size         int
}

// Stats returns the counts now.
func (c *Cache) Stats() Stats {
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Size: c.entries.Len()}
}
