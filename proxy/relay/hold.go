package relay

import (
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	errTooMuch = status.Error(codes.ResourceExhausted, "portcullis: too many large requests wait for a decision; try again")
	errSlow    = status.Error(codes.DeadlineExceeded, "portcullis: the request message does not arrive")
	errEnding  = status.Error(codes.Unavailable, "portcullis: restarting; call again")
)

// perCall is what a guarded request counts beside its bytes: there could be thousands without any.
const perCall = 2 << 10

// repeatable is how large a request is at most that a client makes again by itself. grpc-go keeps no
// more than that of a call.
const repeatable = 256 << 10

// keep counts n bytes more that are kept of calls, and says whether there is room for them.
func (l *link) keep(n int) bool {
	l.held += n
	all := l.relay.held.Add(int64(n))
	return l.held <= l.relay.options.Limits.Connection && all <= int64(l.relay.options.Limits.Total)
}

// withhold keeps a piece of a guarded request and asks for a decision when it was the last.
func (l *link) withhold(st *stream, f *frame, payload []byte) {
	h := st.hold
	l.window.withheld(len(payload))
	l.window.dropped(int(f.Length) - len(payload))
	h.window.withheld(int(f.Length))
	st.clientEnded = f.Flags.Has(http2.FlagDataEndStream)

	room := l.keep(len(payload))
	err := h.message.add(payload)
	switch {
	case err != nil:
	case !room:
		err = errTooMuch
	case st.clientEnded:
		err = h.message.end()
	}
	switch {
	case err != nil:
		l.refuse(st, err)
	case l.draining && st.movable():
		l.postpone(st)
	case st.clientEnded:
		l.up.batch.asked = append(l.up.batch.asked, request{st, h})
	default:
		l.offer(st)
	}
}

// offer lets the client send more of a request that is held: the runtime, which has seen nothing of
// it, will not.
func (l *link) offer(st *stream) {
	if st.clientEnded {
		return
	}
	if n := st.hold.window.excess(); n > 0 {
		l.down.to.inject(windowUpdate(st.id, n))
	}
}

// request is a guarded request that is whole.
type request struct {
	stream *stream
	hold   *hold
}

// ask asks the guard about requests. What it allows at once goes along with the headers, and no
// goroutine has to be woken for it.
func (l *link) ask(requests []request) {
	for _, q := range requests {
		if l.relay.prompt != nil {
			if answered, ok := l.relay.prompt.CheckNow(q.stream.method, q.hold.message.body()); ok {
				l.decided(q, answered, nil)
				continue
			}
		}
		l.work.Go(func() {
			answered, err := l.relay.guard.Check(q.hold.ctx, q.stream.method, q.hold.message.body())
			l.decided(q, answered, err)
		})
	}
}

// decided carries out what the guard says, unless the call has ended meanwhile.
func (l *link) decided(q request, answered func([]byte), err error) {
	st, h := q.stream, q.hold
	if err == nil {
		err = h.ctx.Err() // nobody waits for it any more
	}
	l.mu.Lock()
	defer l.unlock()
	switch {
	case st.hold != h:
	case err != nil:
		l.refuse(st, err)
	default:
		if answered != nil {
			st.answered, st.response = answered, &message{max: maxObserved}
		}
		l.sending = append(l.sending, st)
		l.feed()
		l.settle()
	}
}

// feed sends what is allowed, as far as the runtime takes it.
func (l *link) feed() {
	if len(l.sending) == 0 {
		return
	}
	waiting := l.sending[:0]
	for _, st := range l.sending {
		if st.hold != nil {
			l.send(st)
		}
		if st.hold != nil {
			waiting = append(waiting, st)
		}
	}
	clear(l.sending[len(waiting):])
	l.sending = waiting
}

func (l *link) send(st *stream) {
	h := st.hold
	rest := h.message.data[h.sent:]
	out := make(buffer, 0, min(len(rest), initialWindow)+4*frameHeaderLen)
	for len(rest) > 0 {
		n := int(min(int64(len(rest)), minFrameSize, h.window.runtime, l.window.slack))
		if n <= 0 {
			break
		}
		out.data(st.id, n == len(rest), rest[:n])
		h.sent += n
		h.window.sent(n)
		l.window.sent(n)
		rest = rest[n:]
	}
	l.up.to.inject(out)
	if h.sent == len(h.message.data) {
		l.release(st)
	}
}

// release ends the holding of a request, whatever has become of it.
func (l *link) release(st *stream) {
	l.keep(-perCall - len(st.hold.message.data))
	st.hold.cancel()
	st.hold = nil
}

// refuse ends a call that the runtime has no message of: it hears of a cancelled call, and the client
// gets err.
func (l *link) refuse(st *stream, err error) {
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	l.up.to.inject(resetStream(st.id, http2.ErrCodeCancel))
	l.down.to.inject(refusal{stream: st.id, status: s, started: st.started, table: l.announce, maxHeaders: l.maxHeaders}.frames())
	if !st.clientEnded {
		l.down.to.inject(resetStream(st.id, http2.ErrCodeNo))
	}
	l.report(st, s.Code())
	l.forget(st)
}

// movable says whether a call can be left to the client's next connection: the runtime has nothing of
// its message, and the client can send it again.
func (st *stream) movable() bool {
	return st.hold != nil && st.hold.sent == 0 && !st.started && st.hold.message.size() <= repeatable
}

// postpone ends a call in the way that has the client make it again, on another connection.
func (l *link) postpone(st *stream) {
	l.up.to.inject(resetStream(st.id, http2.ErrCodeCancel))
	l.down.to.inject(resetStream(st.id, http2.ErrCodeRefusedStream))
	l.report(st, codes.Unavailable)
	l.forget(st)
}
