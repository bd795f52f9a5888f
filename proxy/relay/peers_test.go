package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"portcullis/proxy/wire"
)

const (
	version = "/runtime.v1.RuntimeService/Version"
	create  = "/runtime.v1.RuntimeService/CreateContainer"
	pull    = "/runtime.v1.ImageService/PullImage"
	events  = "/runtime.v1.RuntimeService/GetContainerEvents"
)

// question is a guarded request that waits for its decision.
type question struct {
	ctx     context.Context
	request []byte
	answer  chan error
}

// judge is a guard whose decisions the test makes.
type judge struct {
	asked    chan question
	deaf     bool                      // decides even if nobody waits
	now      func(request []byte) bool // what is allowed at once, nil for nothing
	mu       sync.Mutex
	answers  []string
	observed []string
}

func (*judge) Guards(method string) bool   { return strings.TrimPrefix(method, "/") == create[1:] }
func (*judge) Observes(method string) bool { return method == pull }

func (j *judge) Check(ctx context.Context, _ string, request []byte) (func([]byte), error) {
	q := question{ctx, request, make(chan error, 1)}
	j.asked <- q
	ended := ctx.Done()
	if j.deaf {
		ended = nil
	}
	select {
	case err := <-q.answer:
		if err != nil {
			return nil, err
		}
	case <-ended:
		return nil, ctx.Err()
	}
	return j.answered, nil
}

func (j *judge) CheckNow(_ string, request []byte) (func([]byte), bool) {
	if j.now == nil || !j.now(request) {
		return nil, false
	}
	return j.answered, true
}

func (j *judge) answered(response []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answers = append(j.answers, string(response))
}

func (j *judge) Observed(_ string, request, response []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.observed = append(j.observed, string(request)+" → "+string(response))
}

// seen is a frame that a peer received.
type seen struct {
	http2.FrameHeader
	payload []byte
	fields  []hpack.HeaderField // of a whole header block, at its last frame
}

func (s seen) String() string {
	text := fmt.Sprintf("%s %d", s.Type, s.StreamID)
	switch s.Type {
	case http2.FrameData:
		text += fmt.Sprintf(" %d", len(s.payload))
	case http2.FrameWindowUpdate, http2.FrameRSTStream:
		text += fmt.Sprintf(" %d", binary.BigEndian.Uint32(s.payload))
	case http2.FrameHeaders, http2.FrameContinuation:
		for _, f := range s.fields {
			if f.Name == ":path" || strings.HasPrefix(f.Name, "grpc-") {
				text += " " + f.Name + "=" + f.Value
			}
		}
	case http2.FrameGoAway:
		text += fmt.Sprintf(" last %d %s", binary.BigEndian.Uint32(s.payload), http2.ErrCode(binary.BigEndian.Uint32(s.payload[4:])))
	}
	if s.Flags.Has(http2.FlagDataEndStream) && (s.Type == http2.FrameData || s.Type == http2.FrameHeaders) {
		text += " end"
	}
	if s.Flags.Has(http2.FlagPingAck) && (s.Type == http2.FramePing || s.Type == http2.FrameSettings) {
		text += " ack"
	}
	return text
}

// peer is one end: it writes what the test says and notes what it gets. It acknowledges nothing by
// itself.
type peer struct {
	conn    net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder

	mu      sync.Mutex
	frames  []seen
	ended   error
	garbled error // a header block that cannot be decoded
	window  int64 // what this end may still send, for the connection
	streams map[uint32]int64
	initial int64
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, framer: http2.NewFramer(conn, nil), window: initialWindow, initial: initialWindow, streams: map[uint32]int64{}}
	p.framer.AllowIllegalWrites = true
	p.encoder = hpack.NewEncoder(&p.block)
	return p
}

// read notes frames until the connection ends.
func (p *peer) read(preface string) {
	var block []byte
	decoder := hpack.NewDecoder(initialTable, nil)
	greeting := make([]byte, len(preface))
	_, err := io.ReadFull(p.conn, greeting)
	for err == nil {
		var s seen
		if s.FrameHeader, err = http2.ReadFrameHeader(p.conn); err != nil {
			break
		}
		s.payload = make([]byte, s.Length)
		if _, err = io.ReadFull(p.conn, s.payload); err != nil {
			break
		}
		if s.Type == http2.FrameHeaders || s.Type == http2.FrameContinuation {
			fragment := s.payload
			if s.Type == http2.FrameHeaders {
				if s.Flags.Has(http2.FlagHeadersPadded) {
					fragment = fragment[1 : len(fragment)-int(fragment[0])]
				}
				if s.Flags.Has(http2.FlagHeadersPriority) {
					fragment = fragment[5:]
				}
			}
			if block = append(block, fragment...); s.Flags.Has(http2.FlagHeadersEndHeaders) {
				s.fields, err = decoder.DecodeFull(block)
				block = nil
				p.garbled = err
			}
		}
		p.note(s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = err
}

func (p *peer) note(s seen) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, s)
	if s.Type == http2.FrameWindowUpdate {
		n := int64(binary.BigEndian.Uint32(s.payload))
		if s.StreamID == 0 {
			p.window += n
		} else {
			p.streams[s.StreamID] += n
		}
	}
}

// got waits until nothing more happens and returns the frames since it was last called, as text.
func (p *peer) got() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, s := range p.frames {
		texts = append(texts, s.String())
	}
	p.frames = nil
	return texts
}

// take is got for frames.
func (p *peer) take() []seen {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	frames := p.frames
	p.frames = nil
	return frames
}

func (p *peer) over() error {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func (p *peer) open(id uint32, end bool, fields ...string) {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: end})
}

func (p *peer) call(id uint32, path string, extra ...string) {
	p.open(id, false, append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost", "content-type", "application/grpc", "te", "trailers"}, extra...)...)
}

// data sends DATA and counts it, as an end that keeps to the windows must.
func (p *peer) data(id uint32, end bool, payload []byte) {
	p.mu.Lock()
	p.window -= int64(len(payload))
	p.streams[id] -= int64(len(payload))
	p.mu.Unlock()
	_ = p.framer.WriteData(id, end, payload)
}

// send sends a whole message in frames of the usual size, without regard to windows.
func (p *peer) send(id uint32, message []byte) {
	for len(message) > minFrameSize {
		p.data(id, false, message[:minFrameSize])
		message = message[minFrameSize:]
	}
	p.data(id, true, message)
}

// left is what this end may send on a stream.
func (p *peer) left(id uint32) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(p.window, p.initial+p.streams[id])
}

func (p *peer) connectionWindow() int64 {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.window
}

// ok answers a call.
func (p *peer) ok(id uint32, response []byte) {
	p.open(id, false, ":status", "200", "content-type", "application/grpc")
	_ = p.framer.WriteData(id, false, prefixed(response))
	p.open(id, true, "grpc-status", "0", "grpc-message", "")
}

func prefixed(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// setup is a relay between one client and a runtime, in a synctest bubble: nothing happens but what
// the test does, and time passes only when all wait.
type setup struct {
	t        *testing.T
	relay    *Relay
	judge    *judge
	client   *peer
	runtime  *peer
	finished []wire.Call

	mu     sync.Mutex
	dialed []*peer
	absent bool
	hangs  bool
}

func (s *setup) dial(context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.absent {
		return nil, errors.New("no such socket")
	}
	ours, theirs := net.Pipe()
	p := newPeer(theirs)
	s.dialed = append(s.dialed, p)
	go p.read(http2.ClientPreface)
	if !s.hangs {
		go func() { _ = p.framer.WriteSettings() }()
	}
	return ours, nil
}

// begin makes a relay that no client has connected to.
func begin(t *testing.T, options Options) *setup {
	s := &setup{t: t, judge: &judge{asked: make(chan question, 1000)}}
	var mu sync.Mutex
	options.Finished = func(c wire.Call) {
		mu.Lock()
		defer mu.Unlock()
		s.finished = append(s.finished, c)
	}
	options.Endless = func(method string) bool { return method == events }
	s.relay = newRelay(s.dial, s.judge, options)
	synctest.Wait() // it has looked for the runtime
	return s
}

// connect adds a client, and leaves both ends' settings exchanged.
func (s *setup) connect() *setup {
	s.client = s.join()
	synctest.Wait()
	s.runtime = s.dialed[len(s.dialed)-1]
	_ = s.client.framer.WriteSettingsAck()
	_ = s.runtime.framer.WriteSettingsAck()
	synctest.Wait()
	s.runtime.take()
	s.client.take()
	return s
}

func (s *setup) join(settings ...http2.Setting) *peer {
	p := s.joinAs(0, settings...)
	require.NotNil(s.t, p)
	return p
}

// joinAs adds a client of a process, nil if it is turned away.
func (s *setup) joinAs(process int, settings ...http2.Setting) *peer {
	ours, theirs := net.Pipe()
	p := newPeer(theirs)
	if !s.relay.begin(newClient(ours, process)) {
		return nil
	}
	go p.read("")
	_, err := io.WriteString(p.conn, http2.ClientPreface)
	require.NoError(s.t, err)
	require.NoError(s.t, p.framer.WriteSettings(settings...))
	return p
}

// end stops the relay at once.
func (s *setup) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.relay.Stop(ctx)
	for _, p := range s.dialed {
		p.conn.Close()
	}
}

// inBubble runs a test with a client and a runtime that are connected.
func inBubble(t *testing.T, options Options, test func(*setup)) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, options).connect()
		defer s.end()
		test(s)
	})
}

func (s *setup) asked() question {
	s.t.Helper()
	synctest.Wait()
	select {
	case q := <-s.judge.asked:
		return q
	default:
		s.t.Fatal("no decision was asked for")
		panic("unreachable")
	}
}

func (s *setup) notAsked() {
	s.t.Helper()
	synctest.Wait()
	require.Empty(s.t, s.judge.asked)
}

// reported returns the calls reported so far.
func (s *setup) reported() []wire.Call {
	synctest.Wait()
	calls := slices.Clone(s.finished)
	for i := range calls {
		calls[i].Took = 0
	}
	return calls
}

func pass(d time.Duration) { <-time.After(d) }
