package relay

import (
	"context"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fromClient decides on a frame that the client sent.
func (l *link) fromClient(f *frame) error {
	switch f.Type {
	case http2.FrameData:
		return l.requestData(f)
	case http2.FrameHeaders, http2.FrameContinuation:
		b, whole, err := l.up.headers.add(*f)
		if err != nil || !whole {
			return err
		}
		if b.pseudo {
			return l.requestHeaders(&b)
		}
		return l.requestTrailers(&b)
	case http2.FrameRSTStream:
		if st := l.streams[f.StreamID]; st != nil {
			l.report(st, st.cancelled())
			l.forget(st)
		} else if f.StreamID > l.lastID {
			return violates(http2.ErrCodeProtocol, "reset of stream %d, which was never opened", f.StreamID)
		}
	case http2.FrameSettings:
		if err := l.onClientSettings(f.parsed.(*http2.SettingsFrame)); err != nil {
			return err
		}
	case http2.FramePing:
		if ping := f.parsed.(*http2.PingFrame); ping.IsAck() && l.draining && !l.quiet && ping.Data == barrier {
			l.quiet = true
			l.goAway(l.lastID, http2.ErrCodeNo, "")
			return nil
		}
	case http2.FramePushPromise:
		return violates(http2.ErrCodeProtocol, "a client cannot push")
	}
	l.up.batch.pass(f)
	return nil
}

// requestHeaders opens a stream. The headers always go through, so that the runtime's decoder follows
// the client's encoder; a call that is refused is reset right behind them.
func (l *link) requestHeaders(b *block) error {
	switch {
	case b.paths != 1:
		return violates(http2.ErrCodeProtocol, "request with %d paths", b.paths)
	case b.stream%2 == 0 || b.stream <= l.lastID:
		return violates(http2.ErrCodeProtocol, "stream %d opened after stream %d", b.stream, l.lastID)
	case len(l.streams) >= maxStreams:
		return violates(http2.ErrCodeEnhanceYourCalm, "more than %d streams at once", maxStreams)
	}
	st := &stream{id: b.stream, method: b.path, began: time.Now(), clientEnded: b.ended}
	if t := timeout(b.timeout); t > 0 {
		st.deadline = st.began.Add(t)
	}
	l.lastID = st.id
	l.streams[st.id] = st
	l.open++
	l.client.called.Store(st.began.UnixNano())
	l.client.calls.Add(1)
	l.up.batch.passBlock(b)

	switch options := &l.relay.options; {
	case !plain(st.method):
		l.refuse(st, status.Errorf(codes.InvalidArgument, "portcullis: %.100q is not the name of a method; write /package.Service/Method", st.method))
	case l.relay.guard.Guards(st.method):
		l.guard(st)
	case l.relay.observer != nil && l.relay.observer.Observes(st.method):
		st.request, st.response = &message{max: maxObserved}, &message{max: maxObserved}
	case options.Endless != nil && options.Endless(st.method):
		st.endless = true
		l.client.calls.Add(-1)
		if l.draining {
			l.refuse(st, errEnding)
		}
	}
	return nil
}

// guard begins to hold a request.
func (l *link) guard(st *stream) {
	st.guarded = true
	if st.clientEnded {
		l.refuse(st, errNoMessage)
		return
	}
	if !l.keep(perCall) {
		l.keep(-perCall)
		l.refuse(st, errTooMuch)
		return
	}
	h := &hold{message: message{max: l.relay.options.Limits.Stream}, window: streamWindow{runtime: l.streamInitial}}
	if st.deadline.IsZero() {
		h.ctx, h.cancel = context.WithCancel(l.ctx)
	} else {
		h.ctx, h.cancel = context.WithDeadline(l.ctx, st.deadline)
	}
	st.hold = h
}

// requestTrailers passes what ends a request after its messages. Those of a guarded call are held,
// and headers can be neither held nor left out.
func (l *link) requestTrailers(b *block) error {
	st := l.streams[b.stream]
	switch {
	case b.stream%2 == 0 || b.stream > l.lastID:
		return violates(http2.ErrCodeProtocol, "request without a path")
	case !b.ended:
		return violates(http2.ErrCodeProtocol, "trailers that do not end their stream")
	case st != nil && st.clientEnded:
		return violates(http2.ErrCodeStreamClosed, "trailers on stream %d after its end", b.stream)
	case st != nil && st.guarded:
		return violates(http2.ErrCodeProtocol, "trailers in a guarded call")
	}
	l.up.batch.passBlock(b)
	if st != nil {
		l.clientEnded(st)
	}
	return nil
}

func (l *link) requestData(f *frame) error {
	st := l.streams[f.StreamID]
	payload, err := f.data()
	switch {
	case err != nil:
		return err
	case f.StreamID%2 == 0 || f.StreamID > l.lastID:
		return violates(http2.ErrCodeProtocol, "DATA on stream %d, which was never opened", f.StreamID)
	case st == nil:
		// It was refused or reset while this was under way. Passing it on could let a message through
		// that nobody has seen.
		l.window.dropped(int(f.Length))
		return nil
	case st.clientEnded:
		return violates(http2.ErrCodeStreamClosed, "DATA on stream %d after its end", f.StreamID)
	case st.guarded:
		l.withhold(st, f, payload)
		return nil
	}
	l.window.passed(int(f.Length))
	l.up.batch.pass(f)
	l.observe(st, st.request, payload)
	if f.Flags.Has(http2.FlagDataEndStream) {
		l.clientEnded(st)
	}
	return nil
}

func (l *link) clientEnded(st *stream) {
	st.clientEnded = true
	if st.reported {
		l.forget(st)
	}
}

// cancelled is the result of a call that the client gave up.
func (st *stream) cancelled() codes.Code {
	if !st.deadline.IsZero() && !time.Now().Before(st.deadline) {
		return codes.DeadlineExceeded
	}
	return codes.Canceled
}

// onClientSettings notes what the client's settings change for frames towards it, and what the
// runtime's change for those towards the runtime, now that the client has acknowledged them.
func (l *link) onClientSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		if len(l.runtimeSettings) > 0 {
			l.resize(l.runtimeSettings[0])
			l.runtimeSettings = l.runtimeSettings[1:]
		}
		return nil
	}
	var table setting
	err := f.ForeachSetting(func(s http2.Setting) error {
		switch s.ID {
		case http2.SettingHeaderTableSize:
			table = setting{true, s.Val}
			l.down.headers.allow(s.Val)
		case http2.SettingMaxFrameSize:
			l.down.from.maxFrame = max(l.down.from.maxFrame, s.Val)
		case http2.SettingMaxHeaderListSize:
			l.maxHeaders = s.Val
		}
		return s.Valid()
	})
	if err != nil {
		return violates(http2.ErrCodeProtocol, "settings: %v", err)
	}
	l.clientSettings, err = unacknowledged(l.clientSettings, table)
	return err
}

func unacknowledged(settings []setting, next setting) ([]setting, error) {
	if len(settings) >= maxUnacknowledged {
		return nil, violates(http2.ErrCodeEnhanceYourCalm, "more than %d settings without an acknowledgement", maxUnacknowledged)
	}
	return append(settings, next), nil
}

// resize changes the windows of streams that are held as the runtime changes those of all streams.
func (l *link) resize(initial setting) {
	if !initial.given {
		return
	}
	by := int64(initial.value) - l.streamInitial
	l.streamInitial = int64(initial.value)
	for _, st := range l.streams {
		if st.hold != nil {
			st.hold.window.resized(by)
			l.offer(st)
		}
	}
}
