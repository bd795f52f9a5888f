// Package reports answers: what do the report files in a folder say about an image?
//
// It reads the reports of other tools as they are (formats), tells which image each is about by all the
// names that the runtime holds for it, and merges what several say. A report that may be about another
// image never makes this one clean.
package reports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/sirupsen/logrus"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
)

// Options of a Folder; zero values take the defaults.
type Options struct {
	// Platform is what this node runs, os/architecture; default that of the program on Linux.
	Platform string
	// MaxFileSize bounds one report, in bytes; default 256 MiB. Memory does not grow with it.
	MaxFileSize int64
	Log         logrus.FieldLogger // default: nothing is logged
}

// Folder is a scanner.Source of the reports (*.json) in one folder. It keeps an index only, not the
// reports; Refresh brings the index up to date with what was put there and taken away.
type Folder struct {
	path    string
	options Options
	first   sync.Once
	ready   chan struct{} // closed by the first Refresh

	refreshing sync.Mutex    // one Refresh at a time
	reading    chan struct{} // holds as many as may read reports for a lookup at a time

	mu     sync.Mutex
	failed error               // why the folder could not be listed the last time; nil when it could
	files  map[string]indexed  // by file name
	byName map[string][]string // file names by the keys of their reports
	told   *simplelru.LRU[string, struct{}]
}

var _ scanner.Source = (*Folder)(nil)

// remembered bounds how many remarks about a report and an image are remembered, so that each is logged
// once.
const remembered = 4096

// readers bounds the lookups that read reports at a time: each may take the memory of a large report.
const readers = 4

// NewFolder makes a source of the reports in the folder at path. Until the first Refresh has ended,
// Verdict waits for it.
func NewFolder(path string, options Options) *Folder {
	if options.Platform == "" {
		options.Platform = "linux/" + runtime.GOARCH
	}
	if options.MaxFileSize == 0 {
		options.MaxFileSize = 256 << 20
	}
	if options.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		options.Log = silent
	}
	told, _ := simplelru.NewLRU[string, struct{}](remembered, nil) // fails for sizes below 1 only
	f := &Folder{path: path, options: options, ready: make(chan struct{}), reading: make(chan struct{}, readers), told: told}
	f.replace(nil)
	return f
}

// Change is what one Refresh found to be different.
type Change struct {
	Files    int      // reports that are new, changed or gone
	Problems []error  // of those, the ones that cannot be read
	Warnings []string // what of the others was not understood, or does not count
	names    map[string]bool
}

// Concerns says whether the verdict of an image may have changed.
func (c Change) Concerns(image scanner.Image) bool {
	return slices.ContainsFunc(keysOfImage(image), func(key string) bool { return c.names[key] })
}

func (c Change) touch(file indexed) {
	for _, key := range file.names() {
		c.names[key] = true
	}
}

// Refresh reads the reports that are new or have changed. When the folder itself cannot be read, the
// index stays as it is and the error says so.
func (f *Folder) Refresh() (Change, error) {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	defer f.first.Do(func() { close(f.ready) })
	present, err := f.list()
	f.mu.Lock()
	f.failed = err
	f.mu.Unlock()
	if err != nil {
		return Change{}, err
	}
	files := f.Index().Files
	change := Change{names: map[string]bool{}}
	for name, file := range files {
		if _, still := present[name]; !still {
			delete(files, name)
			change.touch(file)
			change.Files++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(present)) {
		before, now := files[name], present[name]
		if before.Stamp == stampOf(now) {
			continue
		}
		after := f.index(name, now, before, &change)
		files[name] = after
		change.touch(before)
		change.touch(after)
		change.Files++
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(files)
	return change, nil
}

// Missed compares the folder with an index that was restored, without reading a report: which images' reports
// have changed or gone, and whether there are new ones, which may be about any image.
func (f *Folder) Missed() (change Change, fresh bool, err error) {
	present, err := f.list()
	if err != nil {
		return Change{}, false, err
	}
	change.names = map[string]bool{}
	files := f.Index().Files
	for name, file := range files {
		now, still := present[name]
		if !still || file.Stamp != stampOf(now) {
			change.touch(file)
			change.Files++
		}
	}
	for name := range present {
		if _, known := files[name]; !known {
			fresh = true
		}
	}
	return change, fresh, nil
}

// list returns the files in the folder that may be reports.
func (f *Folder) list() (map[string]fs.FileInfo, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("reports folder: %w", err)
	}
	present := map[string]fs.FileInfo{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || filepath.Ext(name) != ".json" {
			continue
		}
		info, err := os.Stat(filepath.Join(f.path, name)) // follows links: ConfigMaps are made of them
		if err == nil && info.Mode().IsRegular() {
			present[name] = info
		}
	}
	return present, nil
}

// index reads a report for what has to be remembered of it. A file that breaks stays about the image it
// was about, too: what was known of that cannot be read any more, which is no reason to relax.
func (f *Folder) index(name string, info fs.FileInfo, before indexed, change *Change) indexed {
	file := indexed{Stamp: stampOf(info)}
	report, err := f.read(context.Background(), name)
	file.About, file.ScannedAt, file.Scanned = report.About, report.Verdict.ScannedAt, report.Verdict.Scanned
	for _, warning := range report.Warnings {
		change.Warnings = append(change.Warnings, name+": "+warning)
	}
	if err == nil {
		return file
	}
	change.Problems = append(change.Problems, err)
	file.Broken, file.Before = err.Error(), before.Before
	if before.Broken == "" && !before.About.NamesNothing() {
		file.Before = &before.About
	}
	if file.About.NamesNothing() || file.sharesName(&before) { // another version of what it was
		file.Scanned = before.Scanned
		if before.ScannedAt.After(file.ScannedAt) {
			file.ScannedAt = before.ScannedAt
		}
	}
	if file.ScannedAt.IsZero() {
		file.ScannedAt = info.ModTime().UTC()
	}
	return file
}

func (i *indexed) sharesName(other *indexed) bool {
	names := other.names()
	return slices.ContainsFunc(keysOfReport(&i.About), func(key string) bool { return slices.Contains(names, key) })
}

// read imports the report in one file. With an error comes what was understood of it, which may be no more
// than what the file name says.
func (f *Folder) read(ctx context.Context, name string) (*formats.Report, error) {
	path := filepath.Join(f.path, name)
	report, err := f.open(ctx, path)
	if report == nil {
		report = &formats.Report{}
	}
	if contradiction := declare(name, &report.About); contradiction != nil {
		// Whose findings these are is not known.
		report, err = &formats.Report{About: report.About}, contradiction
	}
	if err == nil && report.About.NamesNothing() {
		err = errors.New("does not say which image it is about; name the file sha256-<64 digits of the image ID>.json")
	}
	switch {
	case errors.Is(err, formats.ErrTruncated):
		err = fmt.Errorf("report %s: %w; write it under another name and rename it when complete", path, err)
	case err != nil:
		err = fmt.Errorf("report %s: %w", path, err)
	}
	return formats.Finished(report, err)
}

func (f *Folder) open(ctx context.Context, path string) (*formats.Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, withoutPath(err)
	}
	report, err := Import(&interruptible{file, ctx}, info.ModTime(), f.options.MaxFileSize)
	if info.Size() > f.options.MaxFileSize {
		err = fmt.Errorf("%w of %d bytes", formats.ErrTooLarge, f.options.MaxFileSize)
	}
	return report, err
}

// withoutPath is what of an error about a file is not said anyway.
func withoutPath(err error) error {
	var about *fs.PathError
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}

// interruptible is a file that cannot be read any more once ctx has ended.
type interruptible struct {
	io.ReadSeeker
	ctx context.Context
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.ReadSeeker.Read(p)
}

// Len is how many reports are indexed, and how many of them are broken.
func (f *Folder) Len() (files, broken int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.files {
		if file.Broken != "" {
			broken++
		}
	}
	return len(f.files), broken
}
