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
	"portcullis/scanner-client/verdict"
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

	refreshing sync.Mutex // one Refresh at a time

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
	f := &Folder{path: path, options: options, ready: make(chan struct{}), told: told}
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
	for _, key := range keysOfReport(&file.About) {
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
		if before.Size == now.Size() && before.Modified.Equal(now.ModTime()) {
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
		if !still || file.Size != now.Size() || !file.Modified.Equal(now.ModTime()) {
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
// was about: what was known of that cannot be read any more, which is no reason to relax.
func (f *Folder) index(name string, info fs.FileInfo, before indexed, change *Change) indexed {
	file := indexed{Size: info.Size(), Modified: info.ModTime(), About: before.About, Scanned: before.Scanned}
	report, err := f.read(context.Background(), name)
	if err != nil {
		file.Broken = err.Error()
		_ = declare(name, &file.About) // of a new file its name may be all there is
		change.Problems = append(change.Problems, err)
		return file
	}
	for _, warning := range report.Warnings {
		change.Warnings = append(change.Warnings, name+": "+warning)
	}
	file.About, file.ScannedAt, file.Scanned = report.About, report.Verdict.ScannedAt, report.Verdict.Scanned
	for _, skipped := range report.Verdict.Skipped {
		if !slices.Contains(file.Partly, skipped.Kind) {
			file.Partly = append(file.Partly, skipped.Kind)
		}
	}
	return file
}

// read imports the report in one file.
func (f *Folder) read(ctx context.Context, name string) (*formats.Report, error) {
	path := filepath.Join(f.path, name)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if info.Size() > f.options.MaxFileSize {
		return nil, fmt.Errorf("report %s: %w of %d bytes", path, formats.ErrTooLarge, f.options.MaxFileSize)
	}
	report, err := Import(&interruptible{file, ctx}, info.ModTime(), f.options.MaxFileSize)
	if err == nil {
		err = declare(name, &report.About)
	}
	if err == nil && report.About.NamesNothing() {
		err = errors.New("does not say which image it is about; name the file sha256-<64 digits of the image ID>.json")
	}
	switch {
	case errors.Is(err, formats.ErrTruncated):
		return nil, fmt.Errorf("report %s: %w; write it under another name and rename it when complete", path, err)
	case err != nil:
		return nil, fmt.Errorf("report %s: %w", path, err)
	}
	return report, nil
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

// covered says whether any of the files has looked for the kind.
func covered(files []candidate, kind verdict.Kind) bool {
	return slices.ContainsFunc(files, func(c candidate) bool { return c.certainty == sure && slices.Contains(c.file.Scanned, kind) })
}
