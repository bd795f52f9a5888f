package event

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"portcullis/internal/atomicfile"
)

// load takes in what an earlier run left. The caller holds mu.
func (s *Spool) load() error {
	if s.lock == nil {
		lock, err := lockSpool(s.dir)
		if err != nil {
			return err
		}
		s.lock = lock
	}
	segments, err := listSegments(s.dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if segments, err = s.tidy(segments); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.openCursor(segments); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.segments = segments
	s.next = s.cursor.sent + 1
	if len(segments) > 0 {
		s.next = max(s.next, segments[len(segments)-1].last+1)
	}
	s.loaded = true
	s.remove()
	wake(s.changed)
	return atomicfile.SyncFolder(s.dir)
}

// tidy finishes what an earlier run was about: files that were not complete, segments that were merged
// already, and a record that was being written at the end.
func (s *Spool) tidy(segments []*segment) ([]*segment, error) {
	if err := atomicfile.Tidy(s.dir); err != nil {
		return nil, err
	}
	var kept []*segment
	var covered int64
	for i, segment := range segments {
		if segment.first <= covered {
			if err := os.Remove(segment.path); err != nil {
				return nil, err
			}
			continue
		}
		if err := s.cut(segment, i == len(segments)-1); err != nil {
			return nil, err
		}
		if segment.summary {
			covered = segment.last
		} else if i+1 < len(segments) {
			segment.last = max(segment.last, segments[i+1].first-1)
		}
		if segment.last < segment.first { // holds nothing
			if err := os.Remove(segment.path); err != nil {
				return nil, err
			}
			continue
		}
		kept = append(kept, segment)
	}
	return kept, nil
}

// cut removes a record at the end of the segment that was not written to its end. Before the last segment
// such a record is missed by its number when it is its turn.
func (s *Spool) cut(segment *segment, last bool) error {
	data, err := segment.content(0)
	if err != nil {
		return err
	}
	through := segment.first - 1
	end, _ := frames(data, func(f frame, _ int) bool { through = f.number; return true })
	if !segment.summary {
		segment.last = through
	}
	if segment.size = int64(segmentHeading + end); end == len(data) {
		return nil
	}
	if last {
		s.stats.Damaged++
	}
	s.options.Log.WithFields(logrus.Fields{"file": segment.path, "bytes": len(data) - end}).Error("spool: the end of a file was damaged and is cut off; at least one decision there is lost")
	return os.Truncate(segment.path, segment.size)
}

// openCursor reads how far an earlier run delivered, or begins a new numbering.
func (s *Spool) openCursor(segments []*segment) error {
	file, err := os.OpenFile(filepath.Join(s.dir, "cursor"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	c, err := readCursor(file)
	if err != nil && !errors.Is(err, errCursor) {
		file.Close()
		return err
	}
	var before int64
	if len(segments) > 0 {
		before = segments[0].first - 1
	}
	if c.version == 0 {
		if err != nil || len(segments) > 0 {
			s.options.Log.Error("spool: how far it has been delivered cannot be read; what it holds is delivered under a new name, and may be counted twice")
		}
		c = newCursor(before)
		if err := errors.Join(c.write(file, false), c.write(file, true)); err != nil {
			file.Close()
			return err
		}
	}
	s.cursor, s.position = c, file
	return nil
}
