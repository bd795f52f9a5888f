package event

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// segment is one file of the spool, named by the number of its first record.
type segment struct {
	path  string
	first int64
	last  int64 // of a summary: the last number that it stands for
	size  int64
	// summary says that the records were merged from others; their numbers then have gaps.
	summary bool
}

// A segment's heading: what the file is, the first number, and of a summary the last that it stands for.
const (
	segmentMagic   = "PORTCULLIS SPOOL"
	segmentHeading = len(segmentMagic) + 8 + 8 + 4
	segmentSuffix  = ".segment"
)

func segmentPath(dir string, first int64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

func heading(first, through int64) []byte {
	h := []byte(segmentMagic)
	h = binary.BigEndian.AppendUint64(h, uint64(first))   //nolint:gosec // counts from 1
	h = binary.BigEndian.AppendUint64(h, uint64(through)) //nolint:gosec // counts from 1, or 0
	return binary.BigEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
}

// parseHeading returns what heading wrote, or false.
func parseHeading(data []byte) (first, through int64, ok bool) {
	if len(data) < segmentHeading || string(data[:len(segmentMagic)]) != segmentMagic {
		return 0, 0, false
	}
	sum := segmentHeading - 4
	if crc32.Checksum(data[:sum], castagnoli) != binary.BigEndian.Uint32(data[sum:]) {
		return 0, 0, false
	}
	first = int64(binary.BigEndian.Uint64(data[len(segmentMagic):]))     //nolint:gosec // checked below
	through = int64(binary.BigEndian.Uint64(data[len(segmentMagic)+8:])) //nolint:gosec // checked below
	return first, through, first >= 1 && through >= 0
}

// listSegments returns the segments in dir in the order of their numbers, as far as names and headings tell.
func listSegments(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []*segment
	for _, e := range entries {
		var first int64
		base, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if _, err := fmt.Sscanf(base, "%d", &first); !ok || err != nil || first < 1 || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s := &segment{path: filepath.Join(dir, e.Name()), first: first, size: info.Size()}
		if err := s.readHeading(); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *segment) int { return int(min(max(a.first-b.first, -1), 1)) })
	return list, nil
}

// readHeading learns whether the segment is a summary. One whose heading is damaged is read all the same:
// its frames tell their numbers themselves.
func (s *segment) readHeading() error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	data := make([]byte, segmentHeading)
	n, _ := file.ReadAt(data, 0) // short: damaged
	if _, through, ok := parseHeading(data[:n]); ok && through > 0 {
		s.summary, s.last = true, through
	}
	return nil
}

// content returns the frames of the segment from offset on, which counts from the end of the heading.
func (s *segment) content(offset int64) ([]byte, error) {
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	start := int64(segmentHeading) + offset
	if s.size <= start {
		return nil, nil
	}
	data := make([]byte, s.size-start)
	n, err := file.ReadAt(data, start)
	if n < len(data) {
		return data[:n], nil //nolint:nilerr // what is missing counts as damaged
	}
	return data, err
}

// decoder turns the frames of one segment into records. It remembers those that repeats may refer to, as
// text: unpacked, the evidence takes many times the room.
type decoder struct{ wholes map[int64]remembered }

// remembered is a whole record: its head, which lacks what takes room, and all of it as text.
type remembered struct {
	head Record
	text []byte
}

// found is one decision as it was found in a frame.
type found struct {
	Record
	text []byte // of a repeat: the whole record
}

// complete returns the record with all that belongs to it.
func (f *found) complete() *Record {
	r := f.Record
	if f.text == nil {
		return &r
	}
	var original Record
	if err := json.Unmarshal(f.text, &original); err == nil { // it was read before
		r.Matches, r.Asks = original.Matches, original.Asks
	}
	return &r
}

// record returns the decision in a frame, false when it cannot be known.
func (d *decoder) record(f frame) (*found, bool) {
	switch f.kind {
	case whole:
		var r Record
		if err := json.Unmarshal(f.content, &r); err != nil || r.Count < 1 {
			return nil, false
		}
		if d.wholes == nil {
			d.wholes = map[int64]remembered{}
		}
		head := r
		head.Matches, head.Asks = nil, nil
		d.wholes[f.number] = remembered{head, f.content}
		return &found{Record: r}, true
	case again:
		if len(f.content) != 16 {
			return nil, false
		}
		of, ok := d.wholes[int64(binary.BigEndian.Uint64(f.content))] //nolint:gosec // a key only
		if !ok {
			return nil, false
		}
		r := of.head
		at := time.UnixMicro(int64(binary.BigEndian.Uint64(f.content[8:]))).UTC() //nolint:gosec // as it was written
		r.Count, r.First, r.Last = 1, at, at
		return &found{r, of.text}, true
	}
	return nil, false
}

func repeatOf(number int64, at time.Time) []byte {
	content := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(number)) //nolint:gosec // counts from 1
	return binary.BigEndian.AppendUint64(content, uint64(at.UnixMicro()))
}
