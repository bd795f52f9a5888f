package relay

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tape notes every byte that comes from a connection.
type tape struct {
	net.Conn
	bytes.Buffer
}

func (t *tape) record() {
	_, _ = io.Copy(&t.Buffer, t.Conn)
}

func encoded(fields ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return block.Bytes()
}

// Everything that HTTP/2 has, in one conversation.
func TestEveryKindOfFramePassesAsItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{})
		defer s.end()
		synctest.Wait()
		ours, theirs := net.Pipe()
		runtimeEnd, client := net.Pipe()
		runtime := &tape{Conn: theirs}
		fromClient := encode(func(f *http2.Framer) {
			f.AllowIllegalWrites = true
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}, http2.Setting{ID: 0xf000, Val: 7})
			_ = f.WriteWindowUpdate(0, 1<<20)
			_ = f.WriteSettingsAck()
			_ = f.WritePriority(9, http2.PriorityParam{StreamDep: 3, Weight: 200})
			_ = f.WriteHeaders(http2.HeadersFrameParam{
				StreamID: 1, BlockFragment: encoded(":method", "POST", ":path", version, "k", "v"), EndHeaders: true, PadLength: 33,
				Priority: http2.PriorityParam{StreamDep: 0, Weight: 9},
			})
			_ = f.WriteDataPadded(1, false, prefixed([]byte("x")), make([]byte, 77))
			_ = f.WriteData(1, true, nil)
			block := encoded(":method", "POST", ":path", "/some.future.Service/Do", "long", strings.Repeat("word", 100))
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:5]})
			_ = f.WriteContinuation(3, false, block[5:5])
			_ = f.WriteContinuation(3, false, block[5:50])
			_ = f.WriteContinuation(3, true, block[50:])
			_ = f.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1"))
			_ = f.WriteRawFrame(0xbe, 0xff, 3, []byte("extension"))
			_ = f.WritePing(false, [8]byte{1, 2})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: encoded("trailer", "of a request"), EndHeaders: true, EndStream: true})
			_ = f.WriteRSTStream(3, http2.ErrCodeCancel)
			_ = f.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
		})
		fromRuntime := encode(func(f *http2.Framer) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
			_ = f.WriteSettingsAck()
			_ = f.WriteWindowUpdate(0, 1000)
			_ = f.WriteWindowUpdate(1, 1000)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encoded(":status", "100"), EndHeaders: true})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encoded(":status", "200")})
			_ = f.WriteContinuation(1, true, encoded("more", "headers"))
			_ = f.WriteData(1, false, bytes.Repeat([]byte("large"), 50_000))
			_ = f.WriteRawFrame(0xbe, 0, 0, nil)
			_ = f.WritePing(true, [8]byte{1, 2})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encoded("grpc-status", "0"), EndHeaders: true, EndStream: true})
			_ = f.WriteGoAway(1, http2.ErrCodeNo, []byte("bye"))
		})
		s.relay.runtime.dial = func(context.Context) (net.Conn, error) { return ours, nil }
		answered := &tape{Conn: client}
		require.True(t, s.relay.begin(newClient(runtimeEnd, 0)))
		go runtime.record()
		go answered.record()
		go func() { _, _ = io.WriteString(client, http2.ClientPreface+string(fromClient[:frameHeaderLen+12])) }()
		synctest.Wait()
		_, err := theirs.Write(fromRuntime[:frameHeaderLen+6])
		require.NoError(t, err)
		_, err = client.Write(fromClient[frameHeaderLen+12:])
		require.NoError(t, err)
		synctest.Wait()
		_, err = theirs.Write(fromRuntime[frameHeaderLen+6:])
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, http2.ClientPreface+string(fromClient), runtime.String())
		require.Equal(t, string(fromRuntime), answered.String())
	})
}

func TestFramesThatNobodyMaySendEndTheConnection(t *testing.T) {
	oversize := make([]byte, frameHeaderLen)
	oversize[0], oversize[1], oversize[2] = 0, 0x40, 1 // 16385 bytes
	oversize[8] = 1
	reserved := encode(func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeCancel) })
	reserved[5] = 0x80
	raw := func(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) []byte {
		return encode(func(f *http2.Framer) {
			f.AllowIllegalWrites = true
			_ = f.WriteRawFrame(kind, flags, stream, []byte(payload))
		})
	}
	headers := func(stream uint32, flags http2.Flags, fields ...string) []byte {
		return raw(http2.FrameHeaders, flags|http2.FlagHeadersEndHeaders, stream, string(encoded(fields...)))
	}
	for name, c := range map[string]struct {
		frames []byte
		why    string
	}{
		"larger than allowed":               {oversize, "frame of 16385 bytes"},
		"reserved bit":                      {reserved, "reserved bit"},
		"DATA without a stream":             {raw(http2.FrameData, 0, 0, "x"), "DATA frame without a stream"},
		"DATA on a stream never opened":     {raw(http2.FrameData, 0, 7, "x"), "never opened"},
		"DATA on a stream of the runtime's": {raw(http2.FrameData, 0, 2, "x"), "never opened"},
		"more padding than payload":         {raw(http2.FrameData, http2.FlagDataPadded, 1, "\x05x"), "padding"},
		"padding without its length":        {raw(http2.FrameData, http2.FlagDataPadded, 1, ""), "padding"},
		"reset of a stream never opened":    {raw(http2.FrameRSTStream, 0, 99, "\x00\x00\x00\x08"), "never opened"},
		"window of nothing":                 {raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), "malformed frame"},
		"ping of four bytes":                {raw(http2.FramePing, 0, 0, "ping"), "malformed frame"},
		"push":                              {raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, "\x00\x00\x00\x02"), "push"},
		"CONTINUATION of nothing":           {raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, ""), "CONTINUATION"},
		"frame within a header block":       {append(raw(http2.FrameHeaders, 0, 7, string(encoded(":method", "POST"))), raw(http2.FramePing, 0, 0, "12345678")...), "expected CONTINUATION"},
		"DATA within a header block":        {append(raw(http2.FrameHeaders, 0, 7, string(encoded(":method", "POST"))), raw(http2.FrameData, 0, 1, "x")...), "expected CONTINUATION"},
		"settings out of range":             {raw(http2.FrameSettings, 0, 0, "\x00\x05\x00\x00\x00\x01"), "settings"},
		"no path":                           {headers(7, 0, ":method", "POST"), "0 paths"},
		"two paths":                         {headers(7, 0, ":path", version, ":path", create), "2 paths"},
		"path after other headers":          {headers(7, 0, ":path", version, "a", "b", ":path", create), "pseudo-header after"},
		"path in trailers":                  {headers(1, http2.FlagHeadersEndStream, ":path", create), "stream 1 opened after"},
		"stream opened twice":               {headers(1, 0, ":path", create), "stream 1 opened after"},
		"stream opened late":                {append(headers(9, 0, ":path", version), headers(7, 0, ":path", create)...), "stream 7 opened after"},
		"stream of the runtime's":           {headers(8, 0, ":path", create), "stream 8 opened after"},
		"trailers that do not end":          {headers(1, 0, "a", "b"), "do not end"},
		"trailers of no stream":             {headers(77, http2.FlagHeadersEndStream, "a", "b"), "without a path"},
		"header table index of nothing":     {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 7, "\xff\xff\x7f"), "header block"},
		"half a header":                     {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 7, "\x44\x7f"), "header block"},
		"larger header table than allowed":  {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 7, "\x3f\xe2\xff\x03"), "header block"},
		"data after the end":                {append(raw(http2.FrameData, http2.FlagDataEndStream, 1, ""), raw(http2.FrameData, 0, 1, "x")...), "after its end"},
		"trailers after the end":            {append(raw(http2.FrameData, http2.FlagDataEndStream, 1, ""), headers(1, http2.FlagHeadersEndStream, "a", "b")...), "after its end"},
		"trailers in a guarded call":        {headers(3, http2.FlagHeadersEndStream, "a", "b"), "trailers in a guarded call"},
		"guarded data after the end":        {append(raw(http2.FrameData, http2.FlagDataEndStream, 3, string(prefixed(nil))), raw(http2.FrameData, 0, 3, "x")...), "after its end"},
		"endless header block":              {endless(), "header block of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(s *setup) {
				s.client.call(1, version)
				s.client.call(3, create)
				s.runtime.got()
				_, err := s.client.conn.Write(append(c.frames, raw(http2.FramePing, 0, 0, "unheeded")...))
				_ = err // the relay hangs up as soon as it has seen enough
				frames := s.client.take()
				require.NotEmpty(t, frames)
				require.Equal(t, http2.FrameGoAway, frames[0].Type, "%v", frames)
				require.Contains(t, string(frames[0].payload[8:]), c.why)
				pass(2 * linger)
				require.Error(t, s.client.over())
				require.Error(t, s.runtime.over())
				for _, f := range s.runtime.take() {
					require.NotEqual(t, http2.FramePing, f.Type)
					require.False(t, f.Type == http2.FrameData && f.StreamID == 3, "an undecided message went on")
				}
			})
		})
	}
}

// endless is a header block that never ends.
func endless() []byte {
	return encode(func(f *http2.Framer) {
		f.AllowIllegalWrites = true
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: encoded(":path", create)})
		for range maxBlock / 500 {
			_ = f.WriteContinuation(7, false, encoded(strings.Repeat("a", 1000), "b"))
		}
	})
}

func TestRuntimeThatBreaksTheRulesLosesTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		write func(*http2.Framer)
		why   string
	}{
		"push": {func(f *http2.Framer) {
			_ = f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, "pushes"},
		"answer to nobody": {func(f *http2.Framer) { _ = f.WriteData(5, false, nil) }, "never opened"},
		"headers for nobody": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, EndHeaders: true, BlockFragment: encoded(":status", "200")})
		}, "never opened"},
		"header table out of bounds": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: []byte{0xfe}})
		}, "header block"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(s *setup) {
				s.client.call(1, version)
				synctest.Wait()
				c.write(s.runtime.framer)
				frames := s.client.take()
				require.Len(t, frames, 1)
				require.Contains(t, string(frames[0].payload[8:]), c.why)
				require.Error(t, s.client.over())
			})
		})
	}
}

func TestPathIsReadHoweverItIsEncoded(t *testing.T) {
	huffman := hpack.AppendHuffmanString(nil, create)
	literal := func(first byte, value []byte, huffman byte) []byte {
		out := []byte{first}
		out = append(out, huffman|byte(len(value)))
		return append(out, value...)
	}
	named := append([]byte{0x00, 5}, ":path"...)
	named = append(named, byte(len(create)))
	named = append(named, create...)
	for name, blocks := range map[string][][]byte{
		"indexed name, plain":     {literal(0x44, []byte(create), 0)},
		"indexed name, Huffman":   {literal(0x44, huffman, 0x80)},
		"not indexed":             {literal(0x04, []byte(create), 0)},
		"never indexed":           {literal(0x14, huffman, 0x80)},
		"literal name":            {named},
		"from the table":          {literal(0x44, []byte(create), 0), {0xbe}},
		"after a smaller table":   {append([]byte{0x20, 0x3f, 0xe1, 0x1f}, literal(0x44, []byte(create), 0)...), {0xbe}},
		"behind another's path":   {literal(0x44, []byte(create), 0), literal(0x44, []byte(version), 0), {0xbf}},
		"as the name of another":  {literal(0x44, []byte(create), 0), literal(0x7e, []byte(version), 0), {0xbf}},
		"table that only shrinks": {append([]byte{0x3f, 0x5a}, literal(0x44, []byte(create), 0)...), {0xbe}},
	} {
		for _, pieces := range []int{1, 2, 7} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, Options{}, func(s *setup) {
					id := uint32(1)
					for _, block := range blocks {
						splitBlock(s.client.framer, id, block, pieces)
						id += 2
					}
					id -= 2
					s.client.data(id, true, prefixed([]byte("image")))
					require.Equal(t, "image", string(s.asked().request))
					for _, f := range s.runtime.take() {
						require.NotEqual(t, http2.FrameData, f.Type)
					}
				})
			})
		}
	}
}

func splitBlock(f *http2.Framer, id uint32, block []byte, pieces int) {
	size := max(1, len(block)/pieces)
	first := min(size, len(block))
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:first], EndHeaders: first == len(block)})
	for block = block[first:]; len(block) > 0; {
		n := min(size, len(block))
		_ = f.WriteContinuation(id, n == len(block), block[:n])
		block = block[n:]
	}
}

func TestMethodNamesThatCanBeReadInTwoWaysAreRefused(t *testing.T) {
	for _, path := range []string{
		"", "/", "//", "/runtime.v1.RuntimeService/Create%43ontainer", "/runtime.v1.RuntimeService/CreateContainer?x", "/runtime.v1.RuntimeService/CreateContainer#x",
		"//runtime.v1.RuntimeService/CreateContainer", "/x/../runtime.v1.RuntimeService/CreateContainer", "/./runtime.v1.RuntimeService/CreateContainer",
		"http://x/runtime.v1.RuntimeService/CreateContainer", "/runtime.v1.RuntimeService/CreateContainer/", "/runtime.v1.RuntimeService/CreateContainer ",
		"/runtime.v1.RuntimeService\\CreateContainer", "/runtime.v1.RuntimeService/CreateContainer\x00", "*",
	} {
		inBubble(t, Options{}, func(s *setup) {
			s.client.call(1, path)
			s.client.data(1, true, prefixed([]byte("image")))
			require.Contains(t, strings.Join(s.client.got(), " "), "grpc-status=3 grpc-message=portcullis: ", path)
			require.Equal(t, []string{"HEADERS 1 :path=" + path, "RST_STREAM 1 8"}, s.runtime.got())
			require.Equal(t, int64(initialWindow), s.client.connectionWindow())
		})
	}
	for _, path := range []string{"runtime.v1.RuntimeService/CreateContainer", "/runtime.v1.RuntimeService/CreateContainer"} {
		inBubble(t, Options{}, func(s *setup) {
			s.client.call(1, path)
			s.client.data(1, true, prefixed([]byte("image")))
			s.asked()
		})
	}
}

// A refusal must not come between the frames of a header block, in either direction.
func TestNothingIsPutIntoAHeaderBlock(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		s.client.call(3, version)
		q := s.asked()
		s.runtime.got()
		request, response := encoded(":path", version, "a", "b"), encoded(":status", "200", "a", "b")
		_ = s.client.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: request[:3]})
		_ = s.runtime.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: response[:3]})
		synctest.Wait()
		q.answer <- errNo
		require.Equal(t, []string{"HEADERS 1", "WINDOW_UPDATE 0 10"}, firstWords(s.client.got()))
		require.Equal(t, []string{"RST_STREAM 1 8"}, s.runtime.got())
		_ = s.client.framer.WriteContinuation(5, true, request[3:])
		_ = s.runtime.framer.WriteContinuation(3, true, response[3:])
		require.Equal(t, []string{"HEADERS 3", "CONTINUATION 3"}, s.client.got())
		require.Equal(t, []string{"HEADERS 5", "CONTINUATION 5 :path=" + version}, s.runtime.got())
	})
}

// The client made its table smaller. The first header block that it gets afterwards must say so, and
// here that block is ours.
func TestRefusalAnnouncesASmallerHeaderTable(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		_ = s.client.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 100})
		synctest.Wait()
		_ = s.runtime.framer.WriteSettingsAck()
		for _, id := range []uint32{1, 3} {
			s.client.call(id, create)
			s.client.data(id, true, prefixed([]byte("image")))
			s.asked().answer <- errNo
			frames := s.client.take()
			refused := frames[len(frames)-2]
			require.Equal(t, []byte{0x3f, 100 - 31}, refused.payload[:2])
		}
		s.runtime.encoder.SetMaxDynamicTableSize(100)
		s.client.call(101, version)
		synctest.Wait()
		s.runtime.open(101, true, ":status", "200", "grpc-status", "0")
		require.Equal(t, []string{"HEADERS 101 grpc-status=0 end"}, s.client.got())
		s.client.call(103, create)
		s.client.data(103, true, prefixed([]byte("image")))
		s.asked().answer <- errNo
		require.NotEqual(t, byte(0x20), s.client.take()[0].payload[0]&0xe0, "said once, it need not be said again")
	})
}

func TestRefusalFitsIntoWhatTheClientTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{})
		defer s.end()
		client := s.join(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 400})
		synctest.Wait()
		client.call(1, create)
		client.data(1, true, prefixed([]byte("image")))
		s.client = client
		s.asked().answer <- status.Error(codes.PermissionDenied, strings.Repeat("拦截", 1000))
		frames := client.take()
		for _, f := range frames {
			if f.Type == http2.FrameHeaders {
				size := 0
				for _, field := range f.fields {
					size += int(field.Size())
				}
				require.LessOrEqual(t, size, 400)
				require.Greater(t, size, 390)
				return
			}
		}
		t.Fatal("no answer")
	})
}
