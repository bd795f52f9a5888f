package scanner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"portcullis/scanner-client/verdict"
)

// Folder is a Source of verdict files (*.json) in one folder. It keeps an index only, not the
// verdicts; Refresh brings the index up to date with what was put there and taken away.
type Folder struct {
	path  string
	first sync.Once
	ready chan struct{} // closed by the first Refresh

	mu    sync.Mutex
	files map[string]indexed // by file name
}

// indexed is what is remembered of one file.
type indexed struct {
	size      int64
	modified  time.Time
	imageID   string // of a broken file: that of the verdict it held before, if any
	scannedAt time.Time
	broken    error
}

// NewFolder makes a source of the verdict files in the folder at path. Until the first Refresh has
// ended, Verdict waits for it.
func NewFolder(path string) *Folder {
	return &Folder{path: path, ready: make(chan struct{}), files: map[string]indexed{}}
}

// Change is what one Refresh found to be different.
type Change struct {
	ImageIDs []string // images whose verdict may have changed
	Problems []error  // files that became unreadable, or that are new and unreadable
}

// Refresh reads the files that are new or have changed. When the folder itself cannot be read, the
// index stays as it is and the error says so.
func (f *Folder) Refresh() (Change, error) {
	defer f.first.Do(func() { close(f.ready) })
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return Change{}, fmt.Errorf("reports folder: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var change Change
	touched := map[string]bool{}
	present := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		info, err := os.Stat(filepath.Join(f.path, name)) // follows links: ConfigMaps are made of them
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(name, ".") || filepath.Ext(name) != ".json" {
			continue
		}
		present[name] = true
		before, known := f.files[name]
		if known && before.size == info.Size() && before.modified.Equal(info.ModTime()) {
			continue
		}
		after := f.index(name, info, before.imageID)
		f.files[name] = after
		touched[before.imageID], touched[after.imageID] = true, true
		if after.broken != nil {
			change.Problems = append(change.Problems, after.broken)
		}
	}
	for name, file := range f.files {
		if !present[name] {
			delete(f.files, name)
			touched[file.imageID] = true
		}
	}
	delete(touched, "")
	for id := range touched {
		change.ImageIDs = append(change.ImageIDs, id)
	}
	slices.Sort(change.ImageIDs)
	return change, nil
}

func (f *Folder) index(name string, info fs.FileInfo, previousID string) indexed {
	file := indexed{size: info.Size(), modified: info.ModTime(), imageID: previousID}
	v, err := f.read(name)
	if err != nil {
		file.broken = err
		return file
	}
	file.imageID, file.scannedAt = v.ImageID, v.ScannedAt
	return file
}

func (f *Folder) read(name string) (*verdict.Verdict, error) {
	path := filepath.Join(f.path, name)
	handle, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("verdict file: %w", err)
	}
	defer handle.Close()
	v, err := verdict.Read(handle)
	if err != nil {
		return nil, fmt.Errorf("verdict file %s: %w", path, err)
	}
	return v, nil
}

// Verdict returns the newest verdict about the image. An image whose only file has become unreadable
// is an error and not unscanned: what was known of it cannot be read, which is no reason to relax.
func (f *Folder) Verdict(ctx context.Context, imageID string) (*verdict.Verdict, error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var problems []error
	for _, name := range f.about(imageID) {
		v, err := f.read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // taken away since the last Refresh
		case err != nil:
			problems = append(problems, err)
		case v.ImageID == imageID:
			return v, nil
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return nil, ErrUnscanned
}

// about returns the names of the files about one image, newest scan first, broken ones last.
func (f *Folder) about(imageID string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name, file := range f.files {
		if file.imageID == imageID {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(f.files[b].scannedAt.Compare(f.files[a].scannedAt), strings.Compare(a, b))
	})
	return names
}

// Len is how many verdict files are indexed, and how many of them are broken.
func (f *Folder) Len() (files, broken int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.files {
		if file.broken != nil {
			broken++
		}
	}
	return len(f.files), broken
}
