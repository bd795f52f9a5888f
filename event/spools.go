package event

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"portcullis/policy"
)

// Spools is the spool of this process, and what other processes have left: one that is replaced by another
// still answers while that one does already, and both must not lose a decision. Each process has a folder of
// its own below dir, named 1, 2 and so on; what is left in another's is delivered once that has ended.
type Spools struct {
	dir     string
	options SpoolOptions
	own     *Spool

	delivering sync.Mutex

	mu     sync.Mutex
	left   []*Spool // of processes that have ended
	looked time.Time
	last   *Spool // that the last batch is from
}

const (
	// maxSpools bounds the processes that may write at a time, and the folders that are looked for.
	maxSpools = 16
	// adoptInterval is how often other processes' folders are looked at.
	adoptInterval = 5 * time.Second
)

// errLocked says that another process has the spool.
var errLocked = errors.New("spool: another process has it")

// OpenSpools takes the first folder that no other process has. It never fails: while the folder cannot be used,
// decisions are held in memory and the log says why.
func OpenSpools(dir string, options SpoolOptions) *Spools {
	s := &Spools{dir: dir, options: options}
	for n := 1; ; n++ {
		folder := s.folder(n)
		lock, err := lockSpool(folder)
		if errors.Is(err, errLocked) && n < maxSpools {
			continue
		}
		s.own = openSpool(folder, lock, options)
		return s
	}
}

func (s *Spools) folder(n int) string { return filepath.Join(s.dir, strconv.Itoa(n)) }

// lockSpool takes the lock that a process holds for as long as it writes to the folder, however it ends.
func lockSpool(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && stands(lock) {
		return lock, nil
	}
	lock.Close()
	switch {
	case err == nil: // removed by who had it, between the opening and the locking
		return lockSpool(folder)
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errLocked
	}
	return nil, fmt.Errorf("spool: %w", err)
}

// stands says whether the file is still the one of its name.
func stands(file *os.File) bool {
	named, err := os.Lstat(file.Name())
	if err != nil {
		return false
	}
	opened, err := file.Stat()
	return err == nil && os.SameFile(named, opened)
}

// Record puts one decision into the spool of this process, as Spool.Record does.
func (s *Spools) Record(at time.Time, operation string, c *policy.Container, d *policy.Decision, told string) {
	s.own.Record(at, operation, c, d, told)
}

// Next returns a batch as Spool.Next does, of what other processes have left first.
func (s *Spools) Next(most int) (Batch, error) {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	s.adopt()
	for _, left := range slices.Clone(s.left) {
		batch, err := left.Next(most)
		if err != nil || batch.Through > batch.After {
			s.last = left
			return batch, err
		}
		s.discard(left)
	}
	s.last = s.own
	return s.own.Next(most)
}

// Acknowledge says what was delivered of the last batch, as Spool.Acknowledge does.
func (s *Spools) Acknowledge(through int64) error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	return s.last.Acknowledge(through)
}

// Changed is sent to after a record was added.
func (s *Spools) Changed() <-chan struct{} { return s.own.Changed() }

// adopt takes over the folders of processes that have ended.
func (s *Spools) adopt() {
	if time.Since(s.looked) < adoptInterval {
		return
	}
	s.looked = time.Now()
	for n := 1; n <= maxSpools; n++ {
		folder := s.folder(n)
		if _, err := os.Stat(folder); err != nil || folder == s.own.dir || slices.ContainsFunc(s.left, func(l *Spool) bool { return l.dir == folder }) {
			continue
		}
		lock, err := lockSpool(folder)
		if errors.Is(err, errLocked) {
			continue
		}
		if err != nil {
			s.options.Log.WithError(err).Error("spool: what another process has left cannot be delivered")
			continue
		}
		left := openSpool(folder, lock, s.options)
		s.mu.Lock()
		s.left = append(s.left, left)
		s.mu.Unlock()
	}
}

// discard removes the folder of a process that has ended, all of which was delivered.
func (s *Spools) discard(left *Spool) {
	s.mu.Lock()
	s.left = slices.DeleteFunc(s.left, func(l *Spool) bool { return l == left })
	s.mu.Unlock()
	// It is removed before its lock is given up: what another process begins there is another folder.
	if err := errors.Join(os.RemoveAll(left.dir), left.Close()); err != nil {
		s.options.Log.WithError(err).Error("spool: a folder that was delivered cannot be removed")
	}
}

// Stats returns how the spools are together.
func (s *Spools) Stats() SpoolStats {
	stats := s.own.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, left := range s.left {
		more := left.Stats()
		stats.Bytes += more.Bytes
		stats.Waiting += more.Waiting
		stats.Damaged += more.Damaged
		stats.Summarised += more.Summarised
		stats.Trouble = stats.Trouble || more.Trouble
	}
	return stats
}

// Close closes them all.
func (s *Spools) Close() error {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	failures := []error{s.own.Close()}
	for _, left := range s.left {
		failures = append(failures, left.Close())
	}
	return errors.Join(failures...)
}
