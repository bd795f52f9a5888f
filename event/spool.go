package event

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/policy"
)

// SpoolOptions are the bounds of a Spool; zero values take the defaults.
type SpoolOptions struct {
	// Size bounds the disk that the spool takes, in bytes; default 64 MiB. When it is full the oldest
	// decisions are merged.
	Size int64
	Log  logrus.FieldLogger
}

// Spool keeps every decision on disk until it was delivered. A decision is in a file before Record
// returns, so that the end of the process loses none that was answered; it is on the disk itself within a
// second. Trouble with the disk delays nobody: decisions are then merged in memory and written later.
type Spool struct {
	dir     string
	options SpoolOptions

	reading sync.Mutex // one delivery or merging at a time; taken before syncing
	syncing sync.Mutex // one wait for the disk at a time; taken before mu, which never waits for it
	reader  reader     // behind what was acknowledged
	ahead   reader     // behind the last batch

	mu       sync.Mutex
	lock     *os.File
	loaded   bool // what an earlier run left has been taken in
	cursor   cursor
	position *os.File // of the cursor
	segments []*segment
	active   *os.File // of the last segment; nil before the first record and after trouble
	next     int64    // number of the next record
	known    map[[sha256.Size]byte]int64
	unsynced bool
	retired  []*os.File // segments that are full and not on the disk yet
	held     *summary   // decisions that could not be written
	trouble  error      // why
	stats    SpoolStats

	changed chan struct{}
	full    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// SpoolStats says how a spool is.
type SpoolStats struct {
	Bytes      int64
	Waiting    int64 // records that were not delivered yet, at most
	Held       int64 // decisions that are in memory only
	Damaged    int64 // records that could not be read
	Summarised int64 // decisions that were merged because the spool was full or could not be written
	Trouble    bool
}

const (
	// syncInterval bounds what a power failure can cost.
	syncInterval = time.Second
	// heldRoom bounds the memory for decisions that cannot be written.
	heldRoom = 1 << 20
)

// openSpool takes up the spool in the folder dir, or begins one; lock is the folder's, where it is held
// already. Like OpenSpools it never fails.
func openSpool(dir string, lock *os.File, options SpoolOptions) *Spool {
	if options.Size == 0 {
		options.Size = 64 << 20
	}
	s := &Spool{
		dir: dir, lock: lock, options: options, held: newSummary(heldRoom),
		changed: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.mu.Lock()
	s.settle(s.load())
	s.mu.Unlock()
	go s.maintain()
	return s
}

// Record puts one decision into the spool. It never waits for a disk to be safe, and never fails.
func (s *Spool) Record(at time.Time, operation string, c *policy.Container, d *policy.Decision, told string) {
	key := keyOf(operation, c, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble == nil {
		if number, ok := s.known[key]; ok {
			if err := s.append(again, repeatOf(number, at)); !errors.Is(err, errRotated) && s.settle(err) {
				return
			}
		}
	}
	r := newRecord(at, operation, c, d, told)
	if s.trouble == nil {
		number := s.next
		if s.settle(s.append(whole, r.encode())) {
			s.known[key] = number
			return
		}
	}
	s.held.add(0, &found{Record: *r})
	s.stats.Held++
}

// keyOf tells decisions apart that are the same but for their time.
func keyOf(operation string, c *policy.Container, d *policy.Decision) [sha256.Size]byte {
	text := make([]byte, 0, 1<<10)
	for _, part := range []string{
		d.Action.String(), operation, d.Revision, d.Because(), c.Image.ID, c.Image.Requested, c.Cluster, c.Namespace, c.Pod, c.PodUID, c.PodAddress, c.Name,
	} {
		text = strconv.AppendInt(text, int64(len(part)), 10)
		text = append(append(text, ':'), part...)
	}
	return sha256.Sum256(text)
}

// settle notes whether writing went well, and says so in the log when that changes. The caller holds mu.
func (s *Spool) settle(err error) bool {
	switch {
	case err == nil && s.trouble != nil:
		s.options.Log.Info("spool can be written again")
	case err != nil && s.trouble == nil:
		s.options.Log.WithError(err).Error("spool cannot be written; decisions are merged in memory until it can, and would be lost with the process")
	}
	s.trouble = err
	return err == nil
}

// append writes one record. The caller holds mu.
func (s *Spool) append(k kind, content []byte) error {
	if !s.loaded {
		return errors.New("spool: what an earlier run left has not been taken in")
	}
	total := s.bytes()
	if total > s.options.Size {
		wake(s.full)
	}
	if total > s.options.Size+s.options.Size/4 {
		return fmt.Errorf("spool: %d bytes are full, and not merged fast enough", s.options.Size)
	}
	if s.active == nil || s.segments[len(s.segments)-1].size > s.segmentSize() {
		if err := s.rotate(); err != nil {
			return err
		}
		if k == again { // what it would refer to is in another segment
			return errRotated
		}
	}
	last := s.segments[len(s.segments)-1]
	data := appendFrame(nil, frame{k, s.next, content})
	if n, err := s.active.WriteAt(data, last.size); err != nil {
		return errors.Join(fmt.Errorf("spool: %w", err), s.takeBack(last, n))
	}
	last.size += int64(len(data))
	last.last = s.next
	s.next++
	s.unsynced = true
	wake(s.changed)
	return nil
}

// errRotated says that the record has to be written whole.
var errRotated = errors.New("spool: a new segment has begun")

// takeBack removes what was written of a record. Should that fail, the next begins a new segment.
func (s *Spool) takeBack(last *segment, written int) error {
	if written == 0 {
		return nil
	}
	err := s.active.Truncate(last.size)
	if err != nil {
		s.retire()
	}
	return err
}

// segmentSize is small enough that few segments are merged at a time and large enough that they are few.
func (s *Spool) segmentSize() int64 { return s.options.Size / 16 }

// rotate begins a new segment. The caller holds mu.
func (s *Spool) rotate() error {
	path := segmentPath(s.dir, s.next)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if _, err := file.Write(heading(s.next, 0)); err != nil {
		return errors.Join(fmt.Errorf("spool: %w", err), file.Close(), os.Remove(path))
	}
	s.retire()
	s.active, s.known = file, map[[sha256.Size]byte]int64{}
	s.segments = append(s.segments, &segment{path: path, first: s.next, last: s.next - 1, size: int64(segmentHeading)})
	return nil
}

// retire leaves the segment that was written to for sync to close. The caller holds mu.
func (s *Spool) retire() {
	if s.active != nil {
		s.retired = append(s.retired, s.active)
		s.active = nil
	}
}

func (s *Spool) bytes() int64 {
	var total int64
	for _, segment := range s.segments {
		total += segment.size
	}
	return total
}

// remove deletes the segments that were delivered. The caller holds mu.
func (s *Spool) remove() {
	for len(s.segments) > 0 && s.segments[0].last <= s.cursor.acked {
		if len(s.segments) == 1 && s.active != nil {
			if s.trouble == nil && s.segments[0].size < s.segmentSize()/8 {
				return // a new file for every decision would be slow
			}
			s.retire()
		}
		if err := os.Remove(s.segments[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.options.Log.WithError(err).Error("spool: a file that was delivered cannot be removed")
			return
		}
		s.segments = s.segments[1:]
	}
}

// maintain brings records to the disk, writes what was held and merges when the spool is full, until Close.
func (s *Spool) maintain() {
	defer close(s.done)
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.recover()
			_ = s.sync() // it has said what went wrong
		case <-s.full:
			s.shrink()
			s.recover()
		case <-s.stop:
			s.recover()
			return
		}
	}
}

// recover tries again what failed: taking in what an earlier run left, and writing what is held.
func (s *Spool) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble == nil && s.held.empty() {
		return
	}
	if !s.loaded && !s.settle(s.load()) {
		return
	}
	held := s.held.list()
	for i, m := range held {
		if !s.settle(s.append(whole, m.encode())) {
			s.hold(held[i:])
			return
		}
		s.stats.Summarised += m.Count
	}
	s.hold(nil)
	s.trouble = nil
}

func (s *Spool) hold(rest []*merged) {
	s.held, s.stats.Held = newSummary(heldRoom), 0
	for _, m := range rest {
		s.held.add(0, &found{Record: m.Record})
		s.stats.Held += m.Count
	}
}

// sync brings what was written to the disk.
func (s *Spool) sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	active, unsynced, retired := s.active, s.unsynced, s.retired
	s.unsynced, s.retired = false, nil
	s.mu.Unlock()
	var failures []error
	for _, file := range retired {
		failures = append(failures, file.Sync(), file.Close())
	}
	if active != nil && unsynced {
		failures = append(failures, active.Sync())
	}
	err := errors.Join(failures...)
	if err != nil {
		s.options.Log.WithError(err).Error("spool: what was decided a moment ago may not survive a power failure")
	}
	return err
}

// Close writes what can be written and stops.
func (s *Spool) Close() error {
	close(s.stop)
	<-s.done
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	s.retire()
	s.loaded = false
	s.mu.Unlock()
	err := s.sync()
	if s.stats.Held > 0 {
		s.options.Log.WithField("decisions", s.stats.Held).Error("spool could not be written to the end; these decisions are not delivered")
	}
	if s.position != nil {
		err = errors.Join(err, s.position.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Changed is sent to after a record was added.
func (s *Spool) Changed() <-chan struct{} { return s.changed }

// Stats returns how the spool is now.
func (s *Spool) Stats() SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Bytes, stats.Trouble = s.bytes(), s.trouble != nil
	if s.loaded {
		stats.Waiting = s.next - 1 - s.cursor.acked
	}
	return stats
}

// wake sends unless something waits already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
