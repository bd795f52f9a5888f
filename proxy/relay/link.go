package relay

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"portcullis/proxy/wire"
)

const (
	// maxStreams bounds the calls of one connection.
	maxStreams = 10_000
	// maxUnacknowledged bounds the SETTINGS frames that one end leaves unanswered.
	maxUnacknowledged = 100
	// silence is how long the runtime may leave a call without a sign of life before it is doubted.
	silence = 2 * time.Second
)

// barrier marks our own PING among the client's and the runtime's.
var barrier = [8]byte{'p', 'o', 'r', 't', 'c', 'u', 'l', 'l'}

// link joins a client's connection with the connection to the runtime that is its alone. Everything
// about its calls is decided under mu, by whichever goroutine has news: the pump of either direction,
// a decision, a timer. None of them waits for the network while it holds mu.
type link struct {
	relay    *Relay
	client   *client
	up, down direction
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup // decisions

	mu      sync.Mutex
	streams map[uint32]*stream
	lastID  uint32
	open    int // streams that have no result yet
	heard   time.Time
	ended   []wire.Call // to be reported once mu is free

	window        connectionWindow
	sending       []*stream // allowed, and waiting for the runtime's window
	held          int       // bytes kept of calls
	streamInitial int64     // the runtime's initial window of a stream, as the client has acknowledged it

	runtimeSettings []setting // the initial window in each SETTINGS that is not acknowledged yet
	clientSettings  []setting // the same: the header table size
	table           uint32    // header table that the runtime's encoder may use
	announce        setting   // header table size that the next block to the client must begin with
	maxHeaders      uint32

	goneAway uint32 // the last stream that a GOAWAY to the client left alive
	draining bool
	quiet    bool // the client knows that it is to open no more streams
	drained  chan struct{}
}

// setting is what a SETTINGS frame says about one matter, if anything.
type setting struct {
	given bool
	value uint32
}

// direction is the way of frames from one end to the other.
type direction struct {
	from    *source
	to      *sink
	headers *headers
	frame   frame // the one in hand, kept here because it is read thousands of times a second
	batch   batch
	handle  func(*frame) error
}

// batch is what one turn of a pump passes on.
type batch struct {
	frames [][]byte
	end    int       // where in the source's buffer the last of frames ends, -1 when it is not there
	shown  []func()  // responses to show before they pass
	asked  []request // guarded, to be decided on
}

func (b *batch) pass(f *frame) {
	if last := len(b.frames) - 1; last >= 0 && b.end == f.at {
		b.frames[last] = b.frames[last][:len(b.frames[last])+len(f.raw)]
	} else {
		// The capacity reaches to the end of the buffer, for the frames that follow.
		b.frames = append(b.frames, f.raw)
	}
	b.end = f.at + len(f.raw)
}

func (b *batch) passBlock(k *block) {
	if k.raw == nil {
		b.pass(&k.frame)
		return
	}
	b.frames = append(b.frames, k.raw)
	b.end = -1
}

func (b *batch) reset() {
	clear(b.frames)
	clear(b.shown)
	clear(b.asked)
	b.frames, b.shown, b.asked, b.end = b.frames[:0], b.shown[:0], b.asked[:0], -1
}

// newLink makes the link of a client, without its connection to the runtime.
func newLink(r *Relay, c *client, from *source) *link {
	l := &link{
		relay: r, client: c, streams: map[uint32]*stream{}, heard: time.Now(),
		window: newConnectionWindow(), streamInitial: initialWindow,
		table: initialTable, goneAway: maxWindow, drained: make(chan struct{}),
	}
	l.up = direction{from: from, to: newSink(nil, r.options.Limits.Connection+maxInjected), headers: newHeaders(), handle: l.fromClient}
	l.down = direction{from: newSource(nil), to: newSink(c.conn, maxInjected), headers: newHeaders(), handle: l.fromRuntime}
	l.up.batch.reset()
	l.down.batch.reset()
	return l
}

// hello takes the settings that a client begins with, and returns their frame.
func (l *link) hello() ([]byte, error) {
	f := &l.up.frame
	if _, err := l.up.from.next(f); err != nil {
		return nil, err
	}
	err := l.fromClient(f)
	l.up.batch.reset() // the runtime is not there yet
	return f.raw, err
}

// meet greets the runtime as the client did and waits until it begins to speak.
func (l *link) meet(runtime net.Conn, settings []byte) error {
	l.up.to.conn, l.down.from.conn = runtime, runtime
	if err := greet(runtime, settings); err != nil {
		return err
	}
	return l.down.from.settings()
}

// run carries frames until one end is gone, or until the link has been drained.
func (l *link) run() {
	type end struct {
		of  *direction
		err error
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	ended := make(chan end, 2)
	// The runtime's settings go first: a client gives up on a connection that begins otherwise, with a
	// GOAWAY say, and its calls fail.
	greeted := l.round(&l.down)
	go func() { ended <- end{&l.up, l.pump(&l.up)} }()
	go func() {
		if greeted == nil {
			greeted = l.pump(&l.down)
		}
		ended <- end{&l.down, greeted}
	}()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	left := 2
	for stop, leave, drained := l.relay.draining, l.client.leave, l.drained; left == 2; {
		select {
		case e := <-ended:
			left--
			l.over(e.of, e.err)
		case <-stop:
			stop = nil
			l.drain()
		case <-leave:
			leave = nil
			l.drain()
		case <-drained:
			drained = nil
			l.finish()
		case <-look.C:
			l.look()
		case <-l.relay.closed.Done():
			l.sever()
			<-ended
			<-ended
			l.part()
			return
		}
	}
	defer context.AfterFunc(l.relay.closed, l.hangUp)()
	l.finish()
	<-ended
	l.hangUp()
	l.abandon(codes.Unavailable)
	l.work.Wait()
}

func (l *link) hangUp() {
	l.down.to.conn.Close()
	l.up.to.conn.Close()
}

// finish lets both ends have what is under way to them, and ends the pumps soon.
func (l *link) finish() {
	l.down.to.close()
	l.up.to.close()
	soon := time.Now().Add(linger)
	_ = l.up.from.conn.SetReadDeadline(soon)
	_ = l.down.from.conn.SetReadDeadline(soon)
}

// sever ends both directions when the time to drain is over, and leaves the connection to the runtime
// as it is: to close it would cancel what the runtime is doing.
func (l *link) sever() {
	l.down.to.conn.Close()
	_ = l.down.from.conn.SetReadDeadline(time.Now())
	_ = l.up.to.flush()
}

// part ends the calls of a link that has been severed. If the runtime is executing some of them, their
// connection is left to whoever keeps it.
func (l *link) part() {
	executing := l.disown()
	l.work.Wait()
	conn, unfinished := l.up.to.conn, l.relay.options.Unfinished
	if l.up.to.flush() != nil || executing == 0 || unfinished == nil {
		conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{})
	unfinished(conn)
}

// disown reports all calls as cut off and says how many of them the runtime is executing. The others, of
// which it has not got all or which never end, it is told to cancel.
func (l *link) disown() (executing int) {
	l.cancel()
	l.mu.Lock()
	defer l.unlock()
	for _, st := range l.streams {
		switch {
		case st.reported:
		case st.hold != nil, st.endless, !st.clientEnded:
			l.up.to.inject(resetStream(st.id, http2.ErrCodeCancel))
		default:
			executing++
		}
		l.report(st, codes.Unavailable)
		l.forget(st)
	}
	return executing
}

// over settles what is left when the first direction has ended.
func (l *link) over(d *direction, err error) {
	var wrong violation
	switch {
	case errors.As(err, &wrong):
		l.relay.options.Log.WithError(err).WithField("from", d.name(l)).Warn("connection ended, because what came over it cannot be passed on safely")
		l.mu.Lock()
		l.goAway(l.lastID, wrong.code, wrong.reason)
		l.mu.Unlock()
		l.abandon(codes.Unavailable)
	case d == &l.up && l.relay.closed.Err() == nil:
		l.abandon(codes.Canceled)
	default:
		l.abandon(codes.Unavailable)
		l.relay.runtime.doubt()
	}
}

func (d *direction) name(l *link) string {
	if d == &l.up {
		return "client"
	}
	return "runtime"
}

// abandon ends what is held and reports the calls that will have no result.
func (l *link) abandon(code codes.Code) {
	l.cancel()
	l.mu.Lock()
	defer l.unlock()
	for _, st := range l.streams {
		l.report(st, code)
		l.forget(st)
	}
}

func (l *link) pump(d *direction) error {
	for {
		if err := l.round(d); err != nil {
			return err
		}
		if err := d.from.fill(); err != nil {
			return err
		}
	}
}

// round passes on what is there.
func (l *link) round(d *direction) error {
	err := l.turn(d)
	for _, show := range d.batch.shown {
		show()
	}
	l.ask(d.batch.asked)
	if broken := d.to.pass(d.batch.frames); err == nil {
		err = broken
	}
	d.batch.reset()
	return err
}

// turn decides on every frame that is there.
func (l *link) turn(d *direction) error {
	l.mu.Lock()
	defer l.unlock()
	d.to.stage()
	if d == &l.down {
		l.heard = time.Now()
	}
	for {
		ok, err := d.from.next(&d.frame)
		if err != nil || !ok {
			l.feed()
			l.settle()
			return err
		}
		if err := d.handle(&d.frame); err != nil {
			return err
		}
	}
}

// unlock gives up mu and then reports the calls that ended meanwhile.
func (l *link) unlock() {
	if l.quiet && l.open == 0 {
		select {
		case <-l.drained:
		default:
			close(l.drained)
		}
	}
	ended := l.ended
	l.ended = nil
	l.mu.Unlock()
	if l.relay.options.Finished != nil {
		for _, call := range ended {
			l.relay.options.Finished(call)
		}
	}
}

// report notes the result of a call.
func (l *link) report(st *stream, code codes.Code) {
	if st.reported {
		return
	}
	st.reported = true
	l.open--
	if !st.endless {
		l.client.calls.Add(-1)
	}
	l.ended = append(l.ended, wire.Call{Method: st.method, Code: code, Took: time.Since(st.began), Guarded: st.guarded})
}

// forget drops a stream that neither end will hear of again, and what of it is held.
func (l *link) forget(st *stream) {
	delete(l.streams, st.id)
	l.unobserve(st)
	if st.hold != nil {
		l.window.discarded(len(st.hold.message.data) - st.hold.sent)
		l.release(st)
		l.settle()
	}
}

// settle tells the client of window that it lost to what was held or dropped.
func (l *link) settle() {
	if n := l.window.excess(); n > 0 {
		l.down.to.inject(windowUpdate(0, n))
	}
}

// goAway asks the client to open no streams after last. The number may never grow.
func (l *link) goAway(last uint32, code http2.ErrCode, why string) {
	l.goneAway = min(l.goneAway, last)
	l.down.to.inject(encode(func(f *http2.Framer) { _ = f.WriteGoAway(l.goneAway, code, []byte(why)) }))
}

// drain sends the client away without losing a call. Those that the runtime has go on, endless ones
// excepted. Those that are held are left to the client's next connection: a decision may take long, and
// whoever answers there decides as well. What the client sends before it has read our PING is treated
// likewise.
func (l *link) drain() {
	l.mu.Lock()
	defer l.unlock()
	if l.draining {
		return
	}
	l.draining = true
	for _, st := range l.streams {
		if st.endless && !st.reported {
			l.refuse(st, errEnding)
		}
	}
	l.goAway(maxWindow, http2.ErrCodeNo, "")
	l.down.to.inject(encode(func(f *http2.Framer) { _ = f.WritePing(false, barrier) }))
	for _, st := range l.streams {
		if st.movable() {
			l.postpone(st) // behind the GOAWAY, or the client would call again on this connection
		}
	}
}

// look happens every second. It ends requests that are never completed, and sends the client away from
// a runtime that hangs: on a new connection it learns at once that the runtime is away, while its calls
// under way stay.
func (l *link) look() {
	l.mu.Lock()
	silent := false
	for _, st := range l.streams {
		age := time.Since(st.began)
		switch {
		case st.hold == nil:
			silent = silent || (age > silence && !st.reported && !st.endless)
		case !st.clientEnded && age > l.relay.options.RequestTimeout:
			l.refuse(st, errSlow)
		}
	}
	silent = silent && time.Since(l.heard) > silence
	l.unlock()
	switch {
	case !silent:
	case l.relay.runtime.away() != nil:
		l.drain()
	default:
		l.relay.runtime.doubt()
	}
}
