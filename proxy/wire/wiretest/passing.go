package wiretest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

func metadataPasses(t *testing.T, b *bench) {
	answered := b.make(Call{
		Name: "c", Method: version, Requests: []int{0},
		Metadata: metadata.Pairs("asked", "one", "asked", "two", "sent-bin", "\x00\x01\xfe"),
		Script: Script{Requests: 1, Responses: []int{3},
			Header: metadata.Pairs("got", "a", "got", "b", "bytes-bin", "\x00\xff"), Trailer: metadata.Pairs("last", "word", "last-bin", "\x80")},
	})
	require.Equal(t, "OK", code(answered))
	require.Equal(t, []string{"a", "b"}, answered.Header.Get("got"))
	require.Equal(t, []string{"\x00\xff"}, answered.Header.Get("bytes-bin"))
	require.Equal(t, []string{"word"}, answered.Trailer.Get("last"))
	require.Equal(t, []string{"\x80"}, answered.Trailer.Get("last-bin"))
	seen := b.saw(t, "c")
	require.Equal(t, []string{"one", "two"}, seen.Metadata.Get("asked"))
	require.Equal(t, []string{"\x00\x01\xfe"}, seen.Metadata.Get("sent-bin"))
}

func detailsPass(t *testing.T, b *bench) {
	answered := b.make(Call{Name: "c", Method: version, Requests: []int{0},
		Script: Script{Requests: 1, Code: codes.ResourceExhausted, Message: "no space: ünïcode", Details: "DISK"}})
	direct := Call{Name: "d", Method: version, Requests: []int{0},
		Script: Script{Requests: 1, Code: codes.ResourceExhausted, Message: "no space: ünïcode", Details: "DISK"}}.Make(t.Context(), Connect(t, b.runtime.Socket))
	require.Equal(t, direct, answered)
	require.Len(t, answered.Trailer.Get("grpc-status-details-bin"), 1)
}

func deadlinePasses(t *testing.T, b *bench) {
	for name, timeout := range map[string]time.Duration{"an hour": time.Hour, "a day": 24 * time.Hour, "none": 0} {
		for _, method := range []string{version, Guarded} {
			require.Equal(t, "OK", code(b.make(Call{Name: name + method, Method: method, Requests: []int{3}, Timeout: timeout, Script: Script{Requests: -1}})))
			want := timeout
			if timeout == 0 {
				want = -1
			}
			require.Equal(t, want, b.saw(t, name+method).Left)
		}
	}
	passed := Call{Method: version, Timeout: 25 * time.Millisecond, Script: Script{Header: metadata.Pairs("it", "began"), Hang: true}}
	for begun := false; !begun; { // a deadline that passes before the call begins shows nothing
		passed.Timeout *= 2
		passed.Name = passed.Timeout.String()
		answered := b.make(passed)
		require.Equal(t, "DeadlineExceeded", code(answered))
		begun = len(answered.Header.Get("it")) > 0
	}
	require.Equal(t, "given up", b.saw(t, passed.Name).Ended)
}

func cancellationPasses(t *testing.T, b *bench) {
	answered := b.make(Call{Name: "c", Method: version, Requests: []int{1}, Cancel: 1, Script: Script{Requests: -1, Responses: []int{1}, Hang: true}})
	require.Equal(t, "Canceled", code(answered))
	require.Equal(t, "given up", b.saw(t, "c").Ended)
}

func largePasses(t *testing.T, b *bench) {
	answered := b.make(Call{Name: "c", Method: version, Requests: []int{17 << 20}, Script: Script{Requests: 1, Responses: []int{18 << 20}}})
	require.Equal(t, "OK", code(answered))
	require.Equal(t, []Digest{digest(Bytes(0, 18<<20))}, answered.Messages)
	require.Equal(t, []Digest{digest(Bytes(0, 17<<20))}, b.saw(t, "c").Messages)
}

func streamPasses(t *testing.T, b *bench) {
	stream, err := b.client.NewStream(metadata.AppendToOutgoingContext(t.Context(), scriptKey, Script{Requests: -1, Echo: true}.encode()),
		&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/runtime.v1.RuntimeService/GetContainerEvents")
	require.NoError(t, err)
	for i := range 3 { // each is sent only after the one before has come back
		sent := Bytes(uint64(i), 100)
		require.NoError(t, stream.SendMsg(&sent))
		var received []byte
		require.NoError(t, stream.RecvMsg(&received))
		require.Equal(t, sent, received)
	}
	require.NoError(t, stream.CloseSend())
	require.Error(t, stream.RecvMsg(&[]byte{}))
}

func unknownPasses(t *testing.T, b *bench) {
	answered := b.make(Call{Name: "c", Method: "/some.future.Service/Do", Requests: []int{9},
		Script: Script{Requests: 1, Code: codes.Unimplemented, Message: "unknown service some.future.Service"}})
	require.Contains(t, answered.Status, "Unimplemented: unknown service some.future.Service")
	require.Equal(t, "/some.future.Service/Do", b.saw(t, "c").Method)
}
