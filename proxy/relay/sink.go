package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	// maxInjected bounds the frames, other than held requests, that wait for an end that does not read.
	maxInjected = 1 << 20
	// stall is how long an end may leave a write unread before its connection is given up. Without
	// it, a client that is gone would go unnoticed while a hung runtime keeps a write from ending.
	stall = time.Minute
	// linger is how long the last bytes of a connection that ends may take.
	linger = time.Second
)

var errNotReading = errors.New("the other end does not read what it caused")

// sink writes frames to one end. What the pump passes on and what others inject leave in the order
// in which the link decided on them: whoever holds the link's lock calls stage and inject.
type sink struct {
	conn net.Conn
	max  int // bytes that may wait

	mu       sync.Mutex
	idle     sync.Cond // told when writing or staged becomes false
	before   []byte    // injected before the pump's turn began
	injected []byte    // injected since
	staged   bool      // the pump is in its turn, whose frames come before injected
	writing  bool
	vector   net.Buffers // scratch of whoever is writing
	closing  bool
	failed   error
	deadline time.Time
}

func newSink(conn net.Conn, limit int) *sink {
	s := &sink{conn: conn, max: limit}
	s.idle.L = &s.mu
	return s
}

// stage begins a turn of the pump: what it will pass goes after everything injected so far and
// before everything injected from now on.
func (s *sink) stage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		s.before = s.injected
	} else {
		s.before = append(s.before, s.injected...)
	}
	s.injected = nil
	s.staged = true
}

// pass ends the turn and writes its frames. It waits for the other end to take them.
func (s *sink) pass(frames [][]byte) error {
	s.mu.Lock()
	for s.writing {
		s.idle.Wait()
	}
	before, after, err := s.before, s.injected, s.failed
	s.before, s.injected, s.staged, s.writing = nil, nil, false, true
	s.mu.Unlock()
	if err == nil {
		err = s.write(before, frames, after)
	}
	s.finish(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// inject puts whole frames, which are the sink's from then on, in line and never waits.
func (s *sink) inject(frames []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || len(frames) == 0 {
		return
	}
	if s.injected == nil {
		s.injected = frames
	} else {
		s.injected = append(s.injected, frames...)
	}
	if len(s.before)+len(s.injected) > s.max {
		s.fail(errNotReading)
		s.conn.Close()
		return
	}
	if !s.writing && !s.staged {
		s.writing = true
		go s.finish(nil)
	}
}

// finish writes what was injected meanwhile and gives up writing.
func (s *sink) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for err == nil && len(s.injected) > 0 && !s.staged {
		next := s.injected
		s.injected = nil
		s.mu.Unlock()
		err = s.write(nil, nil, next)
		s.mu.Lock()
	}
	s.writing = false
	if err != nil {
		s.fail(err)
	}
	s.idle.Broadcast()
}

// fail lets the pump that reads from this end take its last words, and no more.
func (s *sink) fail(err error) {
	if s.failed == nil {
		s.failed = err
		_ = s.conn.SetReadDeadline(time.Now().Add(linger))
	}
	s.injected = nil
}

func (s *sink) write(before []byte, frames [][]byte, after []byte) error {
	all := s.vector[:0]
	if len(before) > 0 {
		all = append(all, before)
	}
	all = append(all, frames...)
	if len(after) > 0 {
		all = append(all, after)
	}
	if len(all) == 0 {
		return nil
	}
	s.vector = all
	s.extend()
	if len(all) == 1 {
		_, err := s.conn.Write(all[0]) // cheaper than a vector of one
		return err
	}
	_, err := all.WriteTo(s.conn)
	return err
}

func (s *sink) extend() {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.deadline.Sub(now) > stall/2 {
		return // setting it costs more than most frames do
	}
	s.deadline = now.Add(stall)
	_ = s.conn.SetWriteDeadline(s.deadline)
}

// flush waits until everything is written, at most for linger. What is passed later must not take
// longer either. An error means that the other end may have got half of a frame.
func (s *sink) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	_ = s.conn.SetWriteDeadline(time.Now().Add(linger))
	for s.failed == nil && (s.writing || s.staged || len(s.injected) > 0) {
		s.idle.Wait()
	}
	return s.failed
}

// close flushes, and tells the other end that no more will come.
func (s *sink) close() {
	_ = s.flush() // the connection ends in any case
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the connection is closed in any case
	} else {
		s.conn.Close()
	}
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// data appends a DATA frame. A framer would copy the payload twice.
func (b *buffer) data(stream uint32, end bool, payload []byte) {
	var header [frameHeaderLen]byte
	binary.BigEndian.PutUint32(header[:], uint32(len(payload))<<8|uint32(http2.FrameData)) //nolint:gosec // far below 16 MiB
	if end {
		header[4] = byte(http2.FlagDataEndStream)
	}
	binary.BigEndian.PutUint32(header[5:], stream)
	*b = append(append(*b, header[:]...), payload...)
}

// encode returns the bytes that write makes of frames, which it cannot fail to make.
func encode(write func(*http2.Framer)) []byte {
	var b buffer
	write(http2.NewFramer(&b, nil))
	return b
}

func windowUpdate(stream, increment uint32) []byte {
	return encode(func(f *http2.Framer) { _ = f.WriteWindowUpdate(stream, increment) })
}

func resetStream(stream uint32, code http2.ErrCode) []byte {
	return encode(func(f *http2.Framer) { _ = f.WriteRSTStream(stream, code) })
}
