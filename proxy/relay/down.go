package relay

import (
	"encoding/binary"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// fromRuntime decides on a frame that the runtime sent. All of them pass, but for window that the
// client has been given already. That goes for streams that the relay has ended too: clients leave
// such frames out, and must see header blocks to decode those of other streams.
func (l *link) fromRuntime(f *frame) error {
	switch f.Type {
	case http2.FrameData:
		if err := l.opened(f.StreamID); err != nil {
			return err
		}
		return l.responseData(f)
	case http2.FrameHeaders, http2.FrameContinuation:
		if err := l.opened(f.StreamID); err != nil {
			return err
		}
		b, whole, err := l.down.headers.add(*f)
		if err != nil || !whole {
			return err
		}
		l.responseHeaders(&b)
		return nil
	case http2.FrameRSTStream:
		if st := l.streams[f.StreamID]; st != nil {
			l.report(st, resetResult(f.parsed.(*http2.RSTStreamFrame).ErrCode))
			l.forget(st)
		}
	case http2.FrameSettings:
		if err := l.onRuntimeSettings(f.parsed.(*http2.SettingsFrame)); err != nil {
			return err
		}
	case http2.FrameWindowUpdate:
		l.onWindow(f)
		return nil
	case http2.FrameGoAway:
		l.onGoAway(f)
	case http2.FramePushPromise:
		return violates(http2.ErrCodeProtocol, "the runtime pushes a response")
	}
	l.down.batch.pass(f)
	return nil
}

func (l *link) opened(id uint32) error {
	if id%2 == 0 || id > l.lastID {
		return violates(http2.ErrCodeProtocol, "response on stream %d, which was never opened", id)
	}
	return nil
}

func (l *link) responseHeaders(b *block) {
	l.announce = setting{} // the runtime's encoder has announced it
	l.down.batch.passBlock(b)
	st := l.streams[b.stream]
	if st == nil {
		return
	}
	st.started = st.started || (b.pseudo && len(b.httpStatus) == 3 && b.httpStatus[0] != '1')
	if b.ended {
		l.runtimeEnded(st, b.result())
	}
}

func (l *link) responseData(f *frame) error {
	payload, err := f.data()
	if err != nil {
		return err
	}
	l.down.batch.pass(f)
	st := l.streams[f.StreamID]
	if st == nil {
		return nil
	}
	if l.observe(st, st.response, payload); st.response != nil && st.response.complete() {
		l.show(st)
	}
	if f.Flags.Has(http2.FlagDataEndStream) {
		l.runtimeEnded(st, codes.Internal) // a gRPC response ends with trailers
	}
	return nil
}

// observe keeps a piece of a message, nil if nobody looks at it. What is not one message, or more than
// there is room for, is not looked at.
func (l *link) observe(st *stream, m *message, payload []byte) {
	if m == nil {
		return
	}
	room := l.keep(len(payload))
	if err := m.add(payload); err != nil || !room {
		l.unobserve(st)
	}
}

func (l *link) unobserve(st *stream) {
	for _, m := range []*message{st.request, st.response} {
		if m != nil {
			l.keep(-len(m.data))
		}
	}
	st.request, st.response = nil, nil
}

// show hands a response to whoever wants to see it, before the client has all of it: what the client
// does with it next may be judged by what it says.
func (l *link) show(st *stream) {
	request, response := st.request, st.response.body()
	l.unobserve(st)
	switch {
	case st.answered != nil:
		l.down.batch.shown = append(l.down.batch.shown, func() { st.answered(response) })
	case request != nil && request.complete():
		l.down.batch.shown = append(l.down.batch.shown, func() { l.relay.observer.Observed(st.method, request.body(), response) })
	}
}

func (l *link) runtimeEnded(st *stream, code codes.Code) {
	l.report(st, code)
	switch {
	case st.hold != nil:
		// It answered a request that it has not seen, and will never see.
		l.up.to.inject(resetStream(st.id, http2.ErrCodeCancel))
		l.forget(st)
	case st.clientEnded:
		l.forget(st)
	}
}

// onWindow counts window that the runtime gives, uses what held requests need, and passes the rest.
func (l *link) onWindow(f *frame) {
	n := f.parsed.(*http2.WindowUpdateFrame).Increment
	if f.StreamID == 0 {
		l.window.granted(n)
		l.feed()
		l.passWindow(f, l.window.excess())
		return
	}
	st := l.streams[f.StreamID]
	switch {
	case st == nil || !st.guarded:
		l.down.batch.pass(f)
	case st.hold != nil:
		st.hold.window.granted(n)
		l.feed()
		l.offer(st)
	}
}

func (l *link) passWindow(f *frame, n uint32) {
	if n > 0 {
		binary.BigEndian.PutUint32(f.raw[frameHeaderLen:], n)
		l.down.batch.pass(f)
	}
}

func (l *link) onRuntimeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		if len(l.clientSettings) > 0 {
			l.acknowledged(l.clientSettings[0])
			l.clientSettings = l.clientSettings[1:]
		}
		return nil
	}
	var initial setting
	err := f.ForeachSetting(func(s http2.Setting) error {
		switch s.ID {
		case http2.SettingInitialWindowSize:
			initial = setting{true, s.Val}
		case http2.SettingHeaderTableSize:
			l.up.headers.allow(s.Val)
		case http2.SettingMaxFrameSize:
			l.up.from.maxFrame = max(l.up.from.maxFrame, s.Val)
		}
		return s.Valid()
	})
	if err != nil {
		return violates(http2.ErrCodeProtocol, "settings: %v", err)
	}
	l.runtimeSettings, err = unacknowledged(l.runtimeSettings, initial)
	return err
}

// acknowledged: the runtime's encoder keeps to the client's header table size from now on. When that
// is smaller than before, the next block to the client must say so, even if it is ours.
func (l *link) acknowledged(table setting) {
	if !table.given {
		return
	}
	if table.value < l.table {
		l.announce = table
	}
	l.table = table.value
}

// onGoAway lets go of the calls that the runtime will not look at: their client makes them again on
// another connection. The last stream of one GOAWAY must not be after that of an earlier one, which
// may have been ours.
func (l *link) onGoAway(f *frame) {
	last := f.parsed.(*http2.GoAwayFrame).LastStreamID
	l.goneAway = min(l.goneAway, last)
	binary.BigEndian.PutUint32(f.raw[frameHeaderLen:], l.goneAway)
	for id, st := range l.streams {
		if id > last {
			l.report(st, codes.Unavailable)
			l.forget(st)
		}
	}
}
