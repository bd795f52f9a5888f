package reports

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/internal/durable"
	"portcullis/scanner-client/verdict"
)

// indexed is what is remembered of one file.
type indexed struct {
	Stamp     stamp          `json:"stamp"`
	About     formats.About  `json:"about"`
	ScannedAt time.Time      `json:"scannedAt,omitzero"`
	Scanned   []verdict.Kind `json:"scanned,omitempty"`
	Broken    string         `json:"broken,omitempty"` // why it cannot be read to its end
	// Before is what a broken file was about when it could be read.
	Before *formats.About `json:"before,omitempty"`
}

// names are all keys under which the report may be looked up.
func (i *indexed) names() []string {
	keys := keysOfReport(&i.About)
	if i.Before != nil {
		keys = append(keys, keysOfReport(i.Before)...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// about is the stronger of what a broken file is about now and what it was about.
func (i *indexed) about(image scanner.Image, platform string) (certainty, string) {
	certain, why := about(&i.About, image, platform)
	if i.Before != nil {
		if before, whyBefore := about(i.Before, image, platform); before > certain {
			return before, whyBefore
		}
	}
	return certain, why
}

// indexKind is the first line of an index that was kept.
const indexKind = "portcullis reports index 2"

// Index is what a Folder knew of its files at one moment.
type Index struct {
	Folder string             `json:"folder"`
	Files  map[string]indexed `json:"files"`
}

// Index returns what is known now. Take it before Cache.Save and save it after: then the reports that
// arrive in between are new again after a restart, and what the cache kept of their images is forgotten.
func (f *Folder) Index() *Index {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Index{Folder: f.path, Files: maps.Clone(f.files)}
}

// Save writes the index to the file at path, where Restore finds it after a restart.
func (i *Index) Save(path string) error {
	err := durable.Write(path, indexKind, func(w io.Writer) error { return json.NewEncoder(w).Encode(i) })
	if err != nil {
		return fmt.Errorf("index of the reports folder: %w", err)
	}
	return nil
}

// Restore takes in an index that was saved, so that the first Refresh reads only what has changed since.
// No file is no error; one that is damaged is, and every report is then read again.
func (f *Folder) Restore(path string) error {
	var index Index
	err := durable.Read(path, indexKind, func(r *bufio.Reader) error { return json.NewDecoder(r).Decode(&index) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("index of the reports folder: %w", err)
	}
	if index.Folder != f.path {
		return nil // the configuration names another folder now
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(index.Files)
	return nil
}

// replace makes files the index. The caller holds the lock.
func (f *Folder) replace(files map[string]indexed) {
	f.files, f.byName = files, map[string][]string{}
	if f.files == nil {
		f.files = map[string]indexed{}
	}
	for name, file := range f.files {
		for _, key := range file.names() {
			f.byName[key] = append(f.byName[key], name)
		}
	}
}
