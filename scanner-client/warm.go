package scanner

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Prefetch begins the lookup of an image that a container may need soon, and does not wait for it. One that
// is known is looked up again when it has got other names since.
func (c *Cache) Prefetch(imageID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.fresh(imageID)
	switch {
	case e == nil:
		c.look(imageID, nil)
	case !e.checked && !c.closed:
		e.checked = true
		c.lookups.Go(func() { c.checkNames(imageID, e) })
	}
}

func (c *Cache) checkNames(imageID string, e *entry) {
	ctx, cancel := context.WithTimeout(c.ctx, c.options.Timeout)
	defer cancel()
	image, err := c.options.Images.Image(ctx, imageID)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.checked = false
	if now, ok := c.entries.Peek(imageID); err == nil && ok && now == e && e.names != joinNames(image) {
		c.forget(imageID)
		image.ID = imageID
		c.look(imageID, &image)
	}
}

// Warm looks up the images that are not known yet, a few at a time, and returns when all have been
// looked up or ctx ends. It looks up no more than the cache can hold. Containers that need one of the
// images meanwhile share the lookup, or begin their own at once.
func (c *Cache) Warm(ctx context.Context, images []Image) {
	var lookups errgroup.Group
	lookups.SetLimit(c.options.Warmers)
	for _, image := range images[:min(len(images), c.options.Size)] {
		if ctx.Err() != nil {
			break
		}
		lookups.Go(func() error {
			c.warm(ctx, &image)
			return nil
		})
	}
	_ = lookups.Wait() // what fails is looked up again by who needs it
}

func (c *Cache) warm(ctx context.Context, image *Image) {
	c.mu.Lock()
	if c.fresh(image.ID) != nil || ctx.Err() != nil {
		c.mu.Unlock()
		return
	}
	f := c.look(image.ID, image)
	c.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
}
