package wiretest

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

func runtimeAway(t *testing.T, b *bench) {
	socket := filepath.Join(t.TempDir(), "later.sock")
	_, client := b.between(t, socket)
	call := Call{Name: "c", Method: version, Requests: []int{3}, Script: Script{Requests: 1}} // no deadline: it must not wait
	require.Equal(t, "Unavailable", code(call.Make(t.Context(), client)))
	require.Equal(t, "Unavailable", code(Call{Name: "g", Method: Guarded, Requests: []int{100_000}}.Make(t.Context(), client)))
	StartRuntime(t, socket)
	require.Eventually(t, func() bool { return code(call.Make(t.Context(), client)) == "OK" }, patience, 10*time.Millisecond)
}

func runtimeDies(t *testing.T, b *bench) {
	answers := make(chan Answered, 2)
	for _, method := range []string{version, Guarded} {
		go func() {
			answers <- b.make(Call{Name: method, Method: method, Requests: []int{3}, Script: Script{Requests: 1, Responses: []int{1}, Header: metadata.Pairs("in", "flight"), Hang: true}})
		}()
	}
	require.Eventually(t, func() bool { return len(b.guard.Checked()) == 1 }, patience, time.Millisecond)
	b.runtime.Stop()
	for range 2 {
		a := <-answers
		require.Equal(t, "Unavailable", code(a), a.Status)
	}
	StartRuntime(t, b.runtime.Socket)
	require.Eventually(t, func() bool {
		return code(b.make(Call{Name: "c", Method: version, Script: Script{Requests: -1}})) == "OK"
	}, patience, 10*time.Millisecond)
}

func runtimeReplaced(t *testing.T, b *bench) {
	for i, options := range [][]grpc.ServerOption{
		{},
		{grpc.InitialWindowSize(1 << 20), grpc.InitialConnWindowSize(1 << 20), grpc.HeaderTableSize(0)},
		{grpc.StaticStreamWindowSize(65535), grpc.StaticConnWindowSize(65535), grpc.HeaderTableSize(1 << 16), grpc.MaxConcurrentStreams(1)},
	} {
		b.runtime.Stop()
		b.runtime = StartRuntime(t, b.runtime.Socket, options...)
		require.Eventually(t, func() bool {
			return code(b.make(Call{Name: "c", Method: version, Script: Script{Requests: -1}})) == "OK"
		}, patience, 10*time.Millisecond)
		for _, method := range []string{version, Guarded} {
			call := Call{Name: fmt.Sprint(i, method), Method: method, Requests: []int{300_000}, Metadata: metadata.Pairs("k", "v"),
				Script: Script{Requests: 1, Responses: []int{300_000}, Trailer: metadata.Pairs("t", "r")}}
			answered := b.make(call)
			require.Equal(t, "OK", code(answered))
			require.Equal(t, []string{"r"}, answered.Trailer.Get("t"))
			require.Equal(t, []Digest{digest(Bytes(0, 300_000))}, b.saw(t, call.Name).Messages)
		}
	}
}

// stopLosesNothing stops a path while a guarded call waits for its decision, and another takes over the
// socket, as on a node. Whichever of the two decides, the runtime sees the call once.
func stopLosesNothing(t *testing.T, b *bench) {
	socket := filepath.Join(t.TempDir(), "p.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false)
	first := b.open(t, b.runtime.Socket, b.guard, nil)
	served := make(chan error, 1)
	go func() { served <- first.Serve(listener) }()
	successor := b.succeed(t, listener)
	client := Connect(t, socket)

	asked, decide := make(chan struct{}), make(chan struct{})
	b.guard.Decide(func(ctx context.Context, _ []byte) (func([]byte), error) {
		close(asked)
		select {
		case <-decide:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	answers := make(chan Answered, 1)
	go func() {
		answers <- Call{Name: "c", Method: Guarded, Requests: []int{100_000}, Script: Script{Requests: 1, Responses: []int{100_000}}}.Make(context.Background(), client)
	}()
	<-asked
	b.guard.Decide(nil)
	successor()
	stopped := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		first.Stop(ctx)
		close(stopped)
	}()
	time.AfterFunc(200*time.Millisecond, func() { close(decide) }) // for a path that waits
	require.Equal(t, "OK", code(<-answers))
	<-stopped
	require.NoError(t, <-served)
	require.Equal(t, 1, b.runtime.Delivered("c"))
}

// succeed prepares another path on the same socket, and returns what has it serve until the test ends.
func (b *bench) succeed(t *testing.T, listener *net.UnixListener) (serve func()) {
	file, err := listener.File()
	require.NoError(t, err)
	again, err := net.FileListener(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	path := b.open(t, b.runtime.Socket, b.guard, nil)
	served := make(chan error, 1)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		path.Stop(ctx)
		require.NoError(t, <-served)
	})
	return func() { go func() { served <- path.Serve(again) }() }
}

func stopEnds(t *testing.T, b *bench) {
	answers := make(chan Answered, 1)
	go func() {
		answers <- b.make(Call{Name: "c", Method: version, Requests: []int{1}, Script: Script{Responses: []int{1}, Hang: true}})
	}()
	require.Equal(t, "OK", code(b.make(Call{Name: "after", Method: version, Script: Script{Requests: -1}})))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	b.path.Stop(ctx)
	require.Equal(t, "Unavailable", code(<-answers))
}
