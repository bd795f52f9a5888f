package event

import (
	"errors"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"

	"portcullis/internal/atomicfile"
)

// Batch is the oldest decisions that were not delivered, those merged that are the same but for their time.
type Batch struct {
	// Spool names the numbering; a spool that was lost and began anew has another name.
	Spool string
	// After and Through say which records these are: the numbers above After up to and including Through.
	After, Through int64
	Records        []*Record
}

const (
	// maxBatch bounds the records of a batch as they are in the spool, and batchBytes their size; together
	// with the caller's bound they keep memory and messages small. What may have been delivered is not
	// merged, so that a batch is also small beside the spool.
	maxBatch   = 50_000
	batchBytes = 1 << 20
)

// reader is where the next batch begins, and what repeats there may refer to.
type reader struct {
	segment *segment
	offset  int64
	through int64 // all up to here has been read
	decoder decoder
}

// Next returns the oldest decisions that were not delivered, at most this many different ones; a
// batch whose Through is its After when there are none. What it returns stays in the spool until Acknowledge, and is on the disk:
// no number is ever used twice, whatever fails.
func (s *Spool) Next(most int) (Batch, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	batch, segments, err := s.begin()
	if err != nil {
		return batch, err
	}
	start := s.cursor.acked
	if s.reader.through != start {
		s.reader = reader{through: start}
	}
	b := builder{batch: &batch, most: most, bytes: int(min(batchBytes, s.options.Size/8)), byKey: map[batchKey]*Record{}}
	r := s.reader
	for i := range segments {
		if segments[i].last <= r.through {
			continue
		}
		if !s.read(&r, &segments[i], &b) {
			break
		}
	}
	base := s.cursor.base
	batch.After, batch.Through = start-base, r.through-base
	if r.through == start {
		return batch, nil
	}
	s.ahead = r
	return batch, s.mark(r.through)
}

// errNotLoaded says that there is nothing to deliver from.
var errNotLoaded = errors.New("spool: its folder cannot be used")

// begin returns the segments as they are now, and brings them to the disk.
func (s *Spool) begin() (Batch, []segment, error) {
	s.mu.Lock()
	segments := make([]segment, len(s.segments))
	for i, segment := range s.segments {
		segments[i] = *segment
	}
	loaded, name := s.loaded, s.cursor.name()
	s.mu.Unlock()
	if !loaded {
		return Batch{}, nil, errNotLoaded
	}
	return Batch{Spool: name}, segments, s.sync()
}

// mark notes on the disk that records may have been delivered.
func (s *Spool) mark(through int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cursor.sent >= through {
		return nil
	}
	s.cursor.sent = through
	if err := s.cursor.write(s.position, true); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// read takes the records of one segment into the batch, and says whether there is room for more.
func (s *Spool) read(r *reader, from *segment, b *builder) bool {
	if r.segment == nil || r.segment.path != from.path {
		r.segment, r.offset, r.decoder = from, 0, decoder{}
	}
	data, err := from.content(r.offset)
	if err != nil {
		s.options.Log.WithError(err).Error("spool: a file cannot be read")
		s.lost(from, r.through, from.last)
		r.through = from.last
		return true
	}
	room := true
	offset := r.offset
	_, damaged := frames(data, func(f frame, end int) bool {
		if f.number > from.last {
			return false
		}
		record, ok := r.decoder.record(f)
		if f.number <= r.through { // read for what others refer to
			r.offset = offset + int64(end)
			return true
		}
		if room = b.room(); !room {
			return false
		}
		if !from.summary {
			s.lost(from, r.through, f.number-1)
		}
		if ok {
			b.add(record, len(f.content))
		} else {
			s.lost(from, f.number-1, f.number)
		}
		r.through, r.offset = f.number, offset+int64(end)
		return true
	})
	if damaged > 0 && from.summary {
		s.lost(from, 0, int64(damaged))
	}
	if room {
		if !from.summary {
			s.lost(from, r.through, from.last)
		}
		r.through = from.last
	}
	return room
}

// lost counts the records after one number up to another that cannot be read, and says so.
func (s *Spool) lost(from *segment, after, through int64) {
	if after >= through {
		return
	}
	s.mu.Lock()
	s.stats.Damaged += through - after
	s.mu.Unlock()
	s.options.Log.WithFields(logrus.Fields{"file": from.path, "records": through - after}).Error("spool: records are damaged and skipped")
}

// Acknowledge says that everything up to through was delivered: what Next returned as a batch's Through, or
// what the other side says that it has. A number that the spool cannot have sent begins a new numbering.
func (s *Spool) Acknowledge(through int64) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		return errNotLoaded
	}
	through += s.cursor.base
	if through < s.cursor.acked || through > s.cursor.sent {
		return s.renumber()
	}
	if through == s.ahead.through {
		s.reader = s.ahead
	}
	s.cursor.acked = through
	err := s.cursor.write(s.position, false)
	s.remove()
	return err
}

// Renumber gives what was not acknowledged new numbers under a new name, for a receiver that has lost what
// it had.
func (s *Spool) Renumber() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		return errNotLoaded
	}
	return s.renumber()
}

// renumber is Renumber for who holds the locks.
func (s *Spool) renumber() error {
	s.options.Log.Warn("spool: the receiver knows other numbers; what was not delivered is delivered under a new name")
	version := s.cursor.version
	s.cursor = newCursor(s.cursor.acked)
	s.cursor.version = version
	s.reader, s.ahead = reader{}, reader{}
	return s.cursor.write(s.position, true)
}

// builder merges the records of a batch.
type builder struct {
	batch *Batch
	most  int
	bytes int
	size  int
	count int
	byKey map[batchKey]*Record
}

// batchKey is what records have in common that are the same but for their time.
type batchKey struct {
	likeness
	because, imageName, pod, podUID, podAddress, revision, cluster string
	summarised                                                     bool
}

// room says whether another record, whichever it is, may come.
func (b *builder) room() bool {
	return len(b.batch.Records) < b.most && b.size < b.bytes && b.count < maxBatch
}

func (b *builder) add(f *found, size int) {
	b.count++
	r := &f.Record
	key := batchKey{
		likeness{r.Action, r.Policy, r.Reason, r.Operation, r.Namespace, r.Container, r.ImageID},
		r.Because, r.Image, r.Pod, r.PodUID, r.PodAddress, r.Revision, r.Cluster, r.Summarised,
	}
	if same, ok := b.byKey[key]; ok {
		same.Count += r.Count
		if r.First.Before(same.First) {
			same.First = r.First
		}
		if r.Last.After(same.Last) {
			same.Last = r.Last
		}
		return
	}
	own := f.complete()
	b.byKey[key] = own
	b.batch.Records = append(b.batch.Records, own)
	b.size += max(size, len(f.text))
}

// shrink merges the oldest segments until the spool is as small as it should be. What may have been
// delivered is left alone: merged, it could not be told from what was not.
func (s *Spool) shrink() {
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		chosen := s.choose()
		if chosen == nil {
			return
		}
		if err := s.merge(chosen); err != nil {
			s.options.Log.WithError(err).Error("spool is full and cannot be merged")
			return
		}
	}
}

// choose returns the segments to merge next, nil when there is no need or nothing to gain.
func (s *Spool) choose() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes() <= s.options.Size {
		return nil
	}
	var chosen []*segment
	for i, segment := range s.segments {
		if active := s.active != nil && i == len(s.segments)-1; active || segment.first <= s.cursor.sent {
			continue
		}
		if chosen = append(chosen, segment); len(chosen) == 2 {
			break
		}
	}
	if len(chosen) == 1 && chosen[0].summary {
		return nil
	}
	return chosen
}

// merge puts one segment in the place of several.
func (s *Spool) merge(chosen []*segment) error {
	into := newSummary(int(s.segmentSize() / 4))
	fresh := int64(0) // decisions that were not merged before
	for _, segment := range chosen {
		data, err := segment.content(0)
		if err != nil {
			return err
		}
		var d decoder
		through := segment.first - 1
		frames(data, func(f frame, _ int) bool {
			if !segment.summary {
				s.lost(segment, through, f.number-1)
			}
			through = f.number
			if r, ok := d.record(f); ok {
				into.add(f.number, r)
				if !segment.summary {
					fresh += r.Count
				}
			} else {
				s.lost(segment, f.number-1, f.number)
			}
			return true
		})
	}
	first, last := chosen[0], chosen[len(chosen)-1]
	data := heading(first.first, last.last)
	for _, m := range into.list() {
		data = appendFrame(data, frame{whole, m.number, m.encode()})
	}
	if err := atomicfile.Write(first.path, data); err != nil {
		return err
	}
	s.replace(chosen, fresh, &segment{path: first.path, first: first.first, last: last.last, size: int64(len(data)), summary: true})
	s.options.Log.WithField("decisions", into.decisions()).Warn("spool is full; the oldest decisions were merged and are delivered with less detail")
	return nil
}

// replace puts the summary into the list, and removes the files that it stands for.
func (s *Spool) replace(chosen []*segment, fresh int64, summary *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Summarised += fresh
	var list []*segment
	for _, segment := range s.segments {
		switch {
		case segment == chosen[0]:
			list = append(list, summary)
		case len(chosen) > 1 && segment == chosen[1]:
			if err := os.Remove(segment.path); err != nil {
				s.options.Log.WithError(err).Error("spool: a file that was merged cannot be removed")
			}
		default:
			list = append(list, segment)
		}
	}
	s.segments = list
}
