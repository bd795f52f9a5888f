package event

import (
	"os"
	"path/filepath"
)

// CopyTo copies the files as they would be left if the process were killed now.
func (s *Spools) CopyTo(dir string) error {
	s.own.reading.Lock()
	defer s.own.reading.Unlock()
	s.own.mu.Lock()
	defer s.own.mu.Unlock()
	return os.CopyFS(dir, os.DirFS(s.dir))
}

// Merge merges until nothing can be gained, without waiting for the background.
func (s *Spools) Merge() { s.own.shrink() }

// Recover tries again at once to write what is held.
func (s *Spools) Recover() { s.own.recover() }

// Segments lists the files of the first process' spool in dir.
func Segments(dir string) []string {
	list, _ := filepath.Glob(filepath.Join(dir, "1", "*"+segmentSuffix))
	return list
}

// ReadFrames reads the content of a segment as a delivery does.
func ReadFrames(data []byte) (records, damaged int, counted int64) {
	var d decoder
	_, damaged = frames(data, func(f frame, _ int) bool {
		if r, ok := d.record(f); ok {
			records++
			counted += r.Count
			_ = r.encode()
		}
		return true
	})
	return records, damaged, counted
}

// SegmentHeading is how much of a segment is not frames.
const SegmentHeading = segmentHeading
