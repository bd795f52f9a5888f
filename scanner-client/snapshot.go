package scanner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"portcullis/scanner-client/internal/compact"
	"portcullis/scanner-client/internal/durable"
)

// snapshotKind is the first line of a snapshot. The number changes with the form of what follows.
const snapshotKind = "portcullis verdict cache 2"

// ErrOtherOrigin says that a snapshot is of verdicts from other sources than those of now.
var ErrOtherOrigin = errors.New("the sources of verdicts are others now")

// kept is one entry as a snapshot holds it.
type kept struct {
	imageID string
	entry   entry
}

// Save writes what the cache knows to the file at path, so that Restore finds it after a restart. The
// file is replaced as a whole or not at all. What is unscanned or incomplete is left out: it would have
// expired.
func (c *Cache) Save(path string) error {
	c.mu.Lock()
	texts := c.pool.Texts()
	var entries []kept
	for _, id := range c.entries.Keys() { // the one used longest ago first
		if e, ok := c.entries.Peek(id); ok && e.packed != nil && e.failure == nil {
			entries = append(entries, kept{id, *e})
		}
	}
	c.mu.Unlock()
	// Texts and packed verdicts never change, so they can be written while the cache goes on.
	err := durable.Write(path, snapshotKind, func(w io.Writer) error {
		if err := compact.WriteText(w, c.options.Origin); err != nil {
			return err
		}
		if err := compact.WriteTexts(w, texts); err != nil {
			return err
		}
		if err := compact.WriteNumber(w, int64(len(entries))); err != nil {
			return err
		}
		for _, k := range entries {
			if err := k.write(w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("snapshot of the verdict cache: %w", err)
	}
	return nil
}

func (k *kept) write(w io.Writer) error {
	return errors.Join(
		compact.WriteText(w, k.imageID),
		compact.WriteText(w, k.entry.names),
		compact.WriteNumber(w, k.entry.expires.UnixMilli()),
		compact.WriteText(w, string(k.entry.packed)),
	)
}

// Restore fills an empty cache from the file that Save has written, and returns how many verdicts are
// believed now. No file is no verdict and no error. A file that is damaged or of another version is an
// error, and leaves the cache empty and working; so does one of another origin, with ErrOtherOrigin.
func (c *Cache) Restore(path string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries.Len() > 0 {
		return 0, errors.New("snapshot of the verdict cache: the cache is in use already; restore before anything is looked up")
	}
	err := durable.Read(path, snapshotKind, c.restore)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if errors.Is(err, ErrOtherOrigin) { // nothing is wrong with the file
		err = ErrOtherOrigin
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("snapshot of the verdict cache: %w", err), c.empty())
	}
	return c.entries.Len(), nil
}

func (c *Cache) restore(r *bufio.Reader) error {
	origin, err := compact.ReadText(r)
	if err != nil {
		return err
	}
	if origin != c.options.Origin {
		return ErrOtherOrigin
	}
	pool, err := compact.ReadPool(r)
	if err != nil {
		return err
	}
	count, err := compact.ReadNumber(r)
	if err != nil {
		return err
	}
	now := c.options.Now()
	var entries []kept
	for range count {
		k, err := readKept(r)
		if err != nil {
			return err
		}
		if !now.Before(k.entry.expires) {
			continue
		}
		// It was kept with a longer TTL, or by a clock that was wrong.
		if latest := now.Add(c.options.TTL); k.entry.expires.After(latest) {
			k.entry.expires = latest
		}
		if err := pool.Adopt(k.entry.packed); err != nil {
			return err
		}
		entries = append(entries, k)
	}
	pool.Tidy()
	c.pool = pool
	for _, k := range entries {
		c.insert(k.imageID, &k.entry)
	}
	return nil
}

func readKept(r *bufio.Reader) (k kept, err error) {
	texts := [3]string{}
	for i := range texts {
		if i == 2 {
			milliseconds, err := compact.ReadNumber(r)
			if err != nil {
				return kept{}, err
			}
			k.entry.expires = time.UnixMilli(milliseconds)
		}
		if texts[i], err = compact.ReadText(r); err != nil {
			return kept{}, err
		}
	}
	k.imageID, k.entry.names, k.entry.packed = texts[0], texts[1], []byte(texts[2])
	return k, nil
}
