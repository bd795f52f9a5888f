package uplink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/atomicfile"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// mirror is what central has told of images, on disk: a verdict file for each that was scanned, and an index.
type mirror struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	index mirrorIndex
}

type mirrorIndex struct {
	// Version is central's, of all verdicts together.
	Version int64                  `json:"version"`
	Images  map[string]mirrorEntry `json:"images"` // by ID
}

type mirrorEntry struct {
	Scanned    bool      `json:"scanned"`
	Incomplete string    `json:"incomplete,omitempty"` // why the verdict is not all that there is
	Changed    time.Time `json:"changed"`
}

// openMirror takes up the mirror in the folder dir. An index that cannot be read is an empty one: central
// tells again.
func openMirror(dir string, now func() time.Time) (*mirror, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mirror of verdicts: %w", err)
	}
	m := &mirror{dir: dir, now: now}
	return m, m.load()
}

// load reads the index.
func (m *mirror) load() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := os.ReadFile(m.indexFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("mirror of verdicts: %w", err)
	}
	var index mirrorIndex
	if err != nil || json.Unmarshal(data, &index) != nil || index.Images == nil {
		index = mirrorIndex{Images: map[string]mirrorEntry{}}
	}
	m.index = index
	return nil
}

func (m *mirror) indexFile() string { return filepath.Join(m.dir, "index") }

func (m *mirror) file(imageID string) string {
	return filepath.Join(m.dir, strings.Replace(imageID, ":", "-", 1)+".json")
}

// sweep removes files that the index does not know: a crash has left them.
func (m *mirror) sweep() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(m.dir, "sha256-*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		id := strings.Replace(strings.TrimSuffix(filepath.Base(file), ".json"), "-", ":", 1)
		if !m.index.Images[id].Scanned {
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("mirror of verdicts: %w", err)
			}
		}
	}
	return nil
}

func (m *mirror) version() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index.Version
}

func (m *mirror) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.index.Images)
}

// get returns what is known of an image, and whether anything is. It answers as a scanner.Source does.
func (m *mirror) get(imageID string) (v *verdict.Verdict, known bool, err error) {
	m.mu.Lock()
	entry, known := m.index.Images[imageID]
	m.mu.Unlock()
	switch {
	case !known:
		return nil, false, nil
	case entry.Scanned:
		if v, err = m.read(imageID); err != nil {
			return nil, false, nil //nolint:nilerr // a damaged file is asked for again
		}
	}
	switch {
	case entry.Incomplete != "":
		return v, true, fmt.Errorf("%w: %s", scanner.ErrUnreadable, entry.Incomplete)
	case v == nil:
		return nil, true, scanner.ErrUnscanned
	}
	return v, true, nil
}

func (m *mirror) read(imageID string) (*verdict.Verdict, error) {
	file, err := os.Open(m.file(imageID))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return verdict.ReadPart(file)
}

// put takes in what central has told, and returns the images of which something else was known.
func (m *mirror) put(told []*portcullisv1.ImageVerdict) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.take(told)
}

// putAnswer takes in what central has told of an image because it was asked to, at the time asked. What was
// fetched meanwhile, because central told of a change, stays: the answer may be from before that change.
func (m *mirror) putAnswer(told *portcullisv1.ImageVerdict, asked time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if entry, known := m.index.Images[told.GetImageId()]; known && !entry.Changed.Before(asked) {
		return nil
	}
	_, err := m.take([]*portcullisv1.ImageVerdict{told})
	return err
}

// take is put. The caller holds mu.
func (m *mirror) take(told []*portcullisv1.ImageVerdict) ([]string, error) {
	var changed []string
	for _, t := range told {
		id := t.GetImageId()
		if !verdict.ValidImageID(id) {
			return changed, fmt.Errorf("mirror of verdicts: central tells of %q, which is no image", id)
		}
		entry := mirrorEntry{Scanned: len(t.GetVerdict()) > 0, Incomplete: t.GetIncomplete(), Changed: m.now()}
		if entry.Scanned {
			v, err := verdict.ReadPart(bytes.NewReader(t.GetVerdict()))
			switch {
			case err != nil:
				entry.Scanned, entry.Incomplete = false, fmt.Sprintf("verdict from central: %v", err)
			case v.ImageID != id:
				entry.Scanned, entry.Incomplete = false, "verdict from central is of another image"
			default:
				if err := m.write(id, t.GetVerdict()); err != nil {
					return changed, err
				}
			}
		}
		m.index.Images[id] = entry
		changed = append(changed, id)
	}
	return changed, m.save()
}

func (m *mirror) write(imageID string, text []byte) error {
	if err := atomicfile.Write(m.file(imageID), text); err != nil {
		return fmt.Errorf("mirror of verdicts: %w", err)
	}
	return nil
}

// keep forgets the images that the node does not have.
func (m *mirror) keep(present map[string]*portcullisv1.PresentImage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	forgotten := false
	for id := range m.index.Images {
		if present[id] == nil {
			delete(m.index.Images, id)
			_ = os.Remove(m.file(id)) // what cannot be removed now is swept at the next start
			forgotten = true
		}
	}
	if forgotten {
		_ = m.save() // else the images are forgotten again later
	}
}

// missing returns those of the images of which central has not told.
func (m *mirror) missing(present map[string]*portcullisv1.PresentImage) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range present {
		if _, ok := m.index.Images[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// upToDate notes central's version of all verdicts.
func (m *mirror) upToDate(version int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.index.Version == version {
		return nil
	}
	m.index.Version = version
	return m.save()
}

// changedSince says whether what is known of an image may have changed since t.
func (m *mirror) changedSince(imageID string, t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry, ok := m.index.Images[imageID]
	return ok && !entry.Changed.Before(t)
}

// save keeps the index. The caller holds mu.
func (m *mirror) save() error {
	data, err := json.Marshal(m.index)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(m.indexFile(), data); err != nil {
		return fmt.Errorf("mirror of verdicts: %w", err)
	}
	return nil
}
