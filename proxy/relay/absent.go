package relay

import (
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portcullis/proxy/wire"
)

var errAway = status.New(codes.Unavailable, "portcullis: the container runtime cannot be reached; call again")

// absent answers every call of one client with Unavailable, while there is no runtime to give its
// connection to. To close the connection instead would have clients wait longer and longer before
// they connect again. When the runtime is back the client is sent away, and finds it on its next
// connection.
type absent struct {
	relay  *Relay
	client *client

	mu     sync.Mutex // guards what follows, and writing
	framer *http2.Framer
	lastID uint32
	table  setting // as in refusal
}

// serve answers until the client is gone. It sends the client away when back is closed.
func (a *absent) serve(back <-chan struct{}) {
	if a.write(func() error { return a.framer.WriteSettings() }) != nil {
		return
	}
	ended := make(chan struct{})
	var leaving sync.WaitGroup
	defer leaving.Wait()
	defer close(ended)
	leaving.Go(func() {
		select {
		case <-back:
		case <-a.relay.draining:
		case <-a.client.leave:
		case <-ended:
			return
		}
		_ = a.write(func() error { return a.framer.WriteGoAway(a.lastID, http2.ErrCodeNo, nil) })
		_ = a.client.conn.SetReadDeadline(time.Now().Add(linger)) // the client need not hang up
	})
	for {
		f, err := a.framer.ReadFrame()
		if err != nil || a.write(func() error { return a.answer(f) }) != nil {
			return
		}
	}
}

func newAbsent(r *Relay, c *client, from *source) *absent {
	a := &absent{relay: r, client: c}
	a.framer = http2.NewFramer(c.conn, from.rest())
	a.framer.SetMaxReadFrameSize(minFrameSize)
	a.framer.MaxHeaderListSize = maxBlock
	a.framer.ReadMetaHeaders = hpack.NewDecoder(initialTable, nil)
	return a
}

func (a *absent) write(frames func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.client.conn.SetWriteDeadline(time.Now().Add(stall))
	return frames()
}

func (a *absent) answer(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if size, ok := f.Value(http2.SettingHeaderTableSize); ok && size < initialTable {
			a.table = setting{true, size}
		}
		return a.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return a.framer.WritePing(true, f.Data)
	case *http2.DataFrame:
		if f.Length == 0 {
			return nil
		}
		return a.framer.WriteWindowUpdate(0, f.Length)
	case *http2.MetaHeadersFrame:
		return a.refuse(f)
	}
	return nil
}

func (a *absent) refuse(f *http2.MetaHeadersFrame) error {
	if f.StreamID <= a.lastID || f.StreamID%2 == 0 {
		return nil // trailers of a call that has its answer
	}
	a.lastID = f.StreamID
	out := refusal{stream: f.StreamID, status: errAway, table: a.table}.frames()
	if !f.StreamEnded() {
		out = append(out, resetStream(f.StreamID, http2.ErrCodeNo)...)
	}
	_, err := a.client.conn.Write(out)
	if a.relay.options.Finished != nil {
		method := f.PseudoValue("path")
		a.relay.options.Finished(wire.Call{Method: method, Code: errAway.Code(), Guarded: a.relay.guard.Guards(method)})
	}
	return err
}
