package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// pieces is a connection that gives its bytes in pieces of that size.
type pieces struct {
	net.Conn
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// FuzzFrames compares how frames are read with how golang.org/x/net/http2 reads them: never more is
// taken for a frame, and never anything else.
func FuzzFrames(f *testing.F) {
	f.Add(uint8(1), encode(func(w *http2.Framer) {
		_ = w.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 9})
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encoded(":path", create), PadLength: 3})
		_ = w.WriteContinuation(1, true, encoded("a", "b"))
		_ = w.WriteDataPadded(1, true, prefixed([]byte("image")), make([]byte, 9))
		_ = w.WriteGoAway(1, http2.ErrCodeNo, []byte("x"))
	}))
	f.Add(uint8(200), []byte("\x00\x40\x01\x00\x00\x00\x00\x00\x01"))
	f.Add(uint8(7), []byte("\x00\x00\x04\x08\x00\x80\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, size uint8, data []byte) {
		s := newSource(&pieces{rest: data, size: 1 + int(size)})
		reference := http2.NewFramer(nil, bytes.NewReader(data))
		reference.SetMaxReadFrameSize(minFrameSize)
		var taken int
		for {
			var f frame
			ok, err := s.next(&f)
			if err != nil {
				return
			}
			if !ok {
				if s.fill() != nil {
					return
				}
				continue
			}
			payload, err := f.data()
			if f.Type == http2.FrameData && err != nil {
				return
			}
			want, err := reference.ReadFrame()
			require.NoError(t, err)
			require.Equal(t, want.Header().String(), f.String())
			require.Equal(t, data[taken:taken+len(f.raw)], f.raw)
			if f.Type == http2.FrameData {
				require.Equal(t, string(want.(*http2.DataFrame).Data()), string(payload))
			}
			taken += len(f.raw)
		}
	})
}

// script reads a fuzzer's bytes as what two ends and a guard do.
type script struct{ bytes []byte }

func (s *script) next() int {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b)
}

func (s *script) take(n int) []byte {
	n = min(n, len(s.bytes))
	taken := s.bytes[:n]
	s.bytes = s.bytes[n:]
	return taken
}

// played is one run of a script.
type played struct {
	*setup
	script  *script
	next    uint32
	waiting []question
	allowed [][]byte
	calls   byte
}

func (p *played) stream() uint32 { return uint32(p.script.next())%(p.next+2) | 1 }

func (p *played) path() string {
	return []string{create, create[1:], version, pull, events, "/?"}[p.script.next()%6]
}

func (p *played) fromClient() {
	c, f, n := p.client, p.client.framer, p.script.next()
	if n < 200 {
		n %= 10 // most of what it sends makes sense
	}
	switch n % 12 {
	case 0, 1:
		c.open(p.next, n > 250, ":method", "POST", ":path", p.path(), "x", string(rune('a'+n%7)))
		p.next += 2
	case 2:
		splitBlock(f, p.next, encoded(":path", p.path()), 1+n%5)
		p.next += 2
	case 3, 4:
		p.calls++ // every message is another
		_ = f.WriteData(p.stream(), n%3 > 0, prefixed(bytes.Repeat([]byte{p.calls, byte(n)}, p.script.next()*20)))
	case 5:
		_ = f.WriteDataPadded(p.stream(), n%2 > 0, p.script.take(n%50), make([]byte, n%30))
	case 6:
		_ = f.WriteRSTStream(p.stream(), http2.ErrCodeCancel)
	case 7:
		_ = f.WriteSettingsAck()
	case 8:
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingID(1 + n%6), Val: uint32(p.script.next()) << (n % 24)})
	case 9:
		_ = f.WritePing(n%2 > 0, barrier)
	case 10:
		_ = f.WriteRawFrame(http2.FrameType(p.script.next()%12), http2.Flags(p.script.next()), p.stream(), p.script.take(n%20))
	case 11:
		_, _ = c.conn.Write(p.script.take(n % 40))
	}
}

func (p *played) fromRuntime() {
	r, f, n := p.runtime, p.runtime.framer, p.script.next()
	if n < 200 {
		n %= 9
	}
	switch n % 11 {
	case 0:
		r.open(p.stream(), false, ":status", "200", "x", string(rune('a'+n%7)))
	case 1:
		r.open(p.stream(), true, "grpc-status", string(rune('0'+n%10)))
	case 2:
		_ = f.WriteData(p.stream(), n > 200, prefixed(p.script.take(n%50)))
	case 3:
		_ = f.WriteRSTStream(p.stream(), http2.ErrCode(n%14))
	case 4, 5:
		_ = f.WriteWindowUpdate(p.stream()*uint32(n%2), 1+uint32(p.script.next())<<(n%12))
	case 6:
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(p.script.next()) << (n % 16)})
	case 7:
		_ = f.WriteSettingsAck()
	case 8:
		_ = f.WriteGoAway(p.stream(), http2.ErrCodeNo, nil)
	case 9:
		_ = f.WriteRawFrame(http2.FrameType(p.script.next()%12), http2.Flags(p.script.next()), p.stream(), p.script.take(n%20))
	case 10:
		splitBlock(f, p.stream(), encoded(":status", "200"), 1+n%3)
	}
}

// decide answers one of the questions that wait.
func (p *played) decide() {
	synctest.Wait()
	for len(p.judge.asked) > 0 {
		p.waiting = append(p.waiting, <-p.judge.asked)
	}
	if len(p.waiting) == 0 {
		return
	}
	n := p.script.next()
	i := n / 2 % len(p.waiting)
	q := p.waiting[i]
	p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
	if n%2 == 0 {
		p.allowed = append(p.allowed, prefixed(q.request))
		q.answer <- nil
	} else {
		q.answer <- errNo
	}
}

// requireDecided checks what the runtime received: nothing of a guarded call but what was allowed.
func (p *played) requireDecided(t *testing.T) {
	paths, received := map[uint32]string{}, map[uint32][]byte{}
	for _, f := range p.runtime.take() {
		if f.Type == http2.FrameData {
			received[f.StreamID] = append(received[f.StreamID], f.payload...)
		}
		for _, field := range f.fields {
			if field.Name == ":path" {
				paths[f.StreamID] = field.Value
			}
		}
	}
	for id, got := range received {
		if !p.judge.Guards(paths[id]) || len(got) == 0 {
			continue
		}
		found := false
		for _, request := range p.allowed {
			found = found || bytes.HasPrefix(request, got)
		}
		require.True(t, found, "stream %d: %d undecided bytes of a guarded call went to the runtime", id, len(got))
	}
}

// FuzzRelay lets both ends send whatever they like while a guard decides.
func FuzzRelay(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x03\x01\x09\x02\x00\x01\x00\x01\x01\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x04\x01\xff\x02\x01\x00\x00\x01\x03\x05\x01\x06\x01\x06\x10\x00\x07"))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 3, 1, 200, 2, 0, 1, 5, 1, 255}, 20))
	f.Add(bytes.Repeat([]byte{0, 0, 2, 0, 4, 3, 9, 1, 0, 1, 1, 1, 1, 3}, 20))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 3, 1, 9, 2, 15}, 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 4000 {
			play(t, data)
		}
	})
}

// play plays a script and checks what must be so whatever it is.
func play(t *testing.T, data []byte) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{Limits: Limits{Stream: 4000, Connection: 9000 + 2*perCall, Total: 9000 + 2*perCall}, RequestTimeout: 5 * time.Second}).connect()
		p := &played{setup: s, script: &script{data}, next: 1}
		p.judge.deaf = true
		p.judge.now = func(request []byte) bool {
			if len(request)/40%2 == 0 {
				return false
			}
			p.allowed = append(p.allowed, prefixed(request))
			return true
		}
		var stopped <-chan struct{}
		for len(p.script.bytes) > 0 {
			switch n := p.script.next() % 16; {
			case n < 8:
				p.fromClient()
			case n < 12:
				p.fromRuntime()
			case n < 14:
				p.decide()
			case n == 14:
				pass(time.Second)
			case stopped == nil && len(p.script.bytes) < 20:
				stopped = s.stop(3 * time.Second)
			default:
				synctest.Wait()
			}
		}
		for p.decide(); len(p.waiting) > 0; p.decide() {
			continue
		}
		pass(10 * time.Second) // everything that is late is over
		p.decide()
		s.end()
		synctest.Wait()
		require.Zero(t, s.relay.held.Load())
		for _, end := range []*peer{s.client, s.runtime} {
			require.Error(t, end.over(), "a connection is left")
			require.NoError(t, end.garbled, "the two ends of a header table have parted")
		}
		p.requireDecided(t)
	})
}
