package scanner

import (
	"context"
	"errors"
	"fmt"

	"portcullis/scanner-client/verdict"
)

// flight is one lookup under way, and all who wait for it.
type flight struct {
	done    chan struct{} // closed when verdict and err are there
	verdict *verdict.Verdict
	err     error

	// Guarded by the cache's lock:
	image Image
	named bool // image has its names: the source is being asked
	stale bool // what the source says may be out of date
}

// look joins the lookup of an image, or begins one. When the caller knows the image's names, the runtime
// is not asked for them. The caller holds the lock.
func (c *Cache) look(imageID string, image *Image) *flight {
	if f := c.flights[imageID]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	if c.closed {
		f.err = ErrClosed
		close(f.done)
		return f
	}
	if image != nil {
		f.image, f.named = *image, true
	}
	c.flights[imageID] = f
	c.lookups.Go(func() { c.fly(imageID, f) })
	return f
}

// fly asks the source on behalf of every caller that waits, so it has a context of its own.
func (c *Cache) fly(imageID string, f *flight) {
	ctx, cancel := context.WithTimeout(c.ctx, c.options.FlightTimeout)
	defer cancel()
	v, err := c.ask(ctx, imageID, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	if c.flights[imageID] == f {
		delete(c.flights, imageID)
	}
	var failure error
	switch {
	case v == nil && errors.Is(err, ErrUnscanned):
		err = ErrUnscanned
	case err != nil:
		c.stats.Failures++
		err = fmt.Errorf("verdict of %s: %w", imageID, err)
		failure = err
	}
	// Without names the source was not asked; and what was given up at the end says nothing.
	if !f.stale && (v != nil || failure == nil || f.named && c.ctx.Err() == nil) {
		v = c.store(imageID, f.image, v, failure)
	}
	f.verdict, f.err = v, err
}

// ask finds the image's names and asks the source. A source that panics has failed: an odd report must
// not take the node down.
func (c *Cache) ask(ctx context.Context, imageID string, f *flight) (v *verdict.Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fmt.Errorf("source panicked: %v", p)
		}
	}()
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%d other lookups are under way: %w", cap(c.asking), ctx.Err())
	}
	c.mu.Lock()
	image, named := f.image, f.named
	c.mu.Unlock()
	if !named {
		if image, err = c.options.Images.Image(ctx, imageID); err != nil {
			return nil, fmt.Errorf("names of the image: %w", err)
		}
	}
	image.ID = canonicalID(imageID)
	c.mu.Lock()
	f.image, f.named = image, true
	c.mu.Unlock()
	v, err = c.source.Verdict(ctx, image)
	switch {
	case v == nil && err == nil:
		return nil, ErrUnscanned
	case v != nil && v.ImageID != image.ID:
		return nil, fmt.Errorf("source answered with a verdict of image %q", v.ImageID)
	}
	return v, err
}
