package wiretest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portcullis/proxy/wire"
)

// Path is a data path.
type Path interface {
	Serve(net.Listener) error
	Stop(context.Context)
}

// New makes a data path to the runtime at a socket. What it opens beside is closed when the test ends.
type New func(t testing.TB, runtimeSocket string, guard wire.Guard, finished func(wire.Call)) Path

const version = "/runtime.v1.RuntimeService/Version"

// patience is longer than anything here takes.
const patience = 20 * time.Second

// Conformance is what every data path must do.
func Conformance(t *testing.T, open New) {
	for name, test := range map[string]func(*testing.T, *bench){
		"metadata and trailers pass both ways":                         metadataPasses,
		"status details pass without being doubled":                    detailsPass,
		"the time that is left reaches the runtime":                    deadlinePasses,
		"cancellation reaches the runtime":                             cancellationPasses,
		"messages over 16 MiB pass both ways":                          largePasses,
		"a stream arrives message by message":                          streamPasses,
		"an unknown service gets the runtime's own answer":             unknownPasses,
		"a refused call never reaches the runtime":                     refusalHolds,
		"a refusal keeps its text and its details":                     refusalIsWhole,
		"an error without a status is no permission":                   plainErrorRefuses,
		"an allowed call goes on as it came":                           allowedPasses,
		"a large guarded call is decided like a small one":             largeGuarded,
		"a slow decision holds nobody else":                            slowDecision,
		"a call given up while it is decided never gets on":            givenUp,
		"a guarded call that is not one message is refused":            oneMessage,
		"an answer is shown before the client has it":                  answerShown,
		"an observed call passes and is shown":                         observedShown,
		"a runtime that is away is Unavailable at once, and soon back": runtimeAway,
		"a runtime that dies ends its calls":                           runtimeDies,
		"another runtime takes the place of one":                       runtimeReplaced,
		"every call is reported once":                                  reportedOnce,
		"stop loses no call":                                           stopLosesNothing,
		"stop ends what does not end by itself":                        stopEnds,
	} {
		t.Run(name, func(t *testing.T) { test(t, newBench(t, open)) })
	}
}

// bench is a data path between a client and a runtime, one of each.
type bench struct {
	open    New
	guard   *Guard
	path    Path
	runtime *Runtime
	client  *grpc.ClientConn

	mu       sync.Mutex
	finished []wire.Call
}

func newBench(t *testing.T, open New) *bench {
	b := &bench{open: open, guard: &Guard{}}
	b.runtime = StartRuntime(t, filepath.Join(t.TempDir(), "r.sock"))
	b.path, b.client = b.between(t, b.runtime.Socket)
	return b
}

func (b *bench) between(t *testing.T, runtimeSocket string) (Path, *grpc.ClientConn) {
	path := b.open(t, runtimeSocket, b.guard, func(c wire.Call) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.finished = append(b.finished, c)
	})
	return path, Connect(t, Serve(t, path))
}

// Serve lets path serve a socket until the test ends, and returns the socket's path.
func Serve(t testing.TB, path Path) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "p.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- path.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		path.Stop(ctx)
		require.NoError(t, <-served)
	})
	return socket
}

func (b *bench) make(c Call) Answered {
	return c.Make(context.Background(), b.client)
}

// saw waits for what the runtime saw of a call.
func (b *bench) saw(t *testing.T, call string) *Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := b.runtime.WaitFor(ctx, call)
	require.NotNil(t, seen, "the runtime has not seen call %q", call)
	return seen
}

func code(a Answered) string { name, _, _ := strings.Cut(a.Status, ":"); return name }

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

func refusalHolds(t *testing.T, b *bench) {
	b.guard.Decide(func(context.Context, []byte) (func([]byte), error) {
		return nil, status.Error(codes.PermissionDenied, "no")
	})
	for range 20 {
		answered := b.make(Call{Name: "refused", Method: Guarded, Requests: []int{10}, Script: Script{Requests: 1, Responses: []int{1}}})
		require.Equal(t, "PermissionDenied: no", answered.Status[:len("PermissionDenied: no")])
		require.Equal(t, "OK", code(b.make(Call{Name: "other", Method: version, Requests: []int{10}, Script: Script{Requests: 1, Responses: []int{1}}})))
	}
	if seen := b.runtime.Seen("refused"); seen != nil {
		require.Empty(t, seen.Messages, "the runtime saw a refused request")
	}
}

func refusalIsWhole(t *testing.T, b *bench) {
	why := status.New(codes.PermissionDenied, "拦截: 100% of\n"+strings.Repeat("log4j-core 2.14.1 → 2.17.1; ", 1000))
	why, err := why.WithDetails(&errdetails.ErrorInfo{Reason: "CVE"})
	require.NoError(t, err)
	b.guard.Decide(func(context.Context, []byte) (func([]byte), error) { return nil, why.Err() })
	answered := b.make(Call{Name: "c", Method: Guarded, Requests: []int{10}, Script: Script{Requests: 1}})
	require.Equal(t, describe(why.Err()), answered.Status)
	require.Empty(t, answered.Header.Get("grpc-status"))
}

func plainErrorRefuses(t *testing.T, b *bench) {
	b.guard.Decide(func(context.Context, []byte) (func([]byte), error) { return nil, errors.New("broken") })
	require.Contains(t, b.make(Call{Name: "c", Method: Guarded, Requests: []int{10}, Script: Script{Requests: 1}}).Status, "Unknown: broken")
}

func allowedPasses(t *testing.T, b *bench) {
	answered := b.make(Call{Name: "c", Method: Guarded, Requests: []int{1234}, Metadata: metadata.Pairs("k", "v"),
		Script: Script{Requests: 1, Responses: []int{77}, Trailer: metadata.Pairs("t", "r")}})
	require.Equal(t, "OK", code(answered))
	require.Equal(t, []Digest{digest(Bytes(0, 77))}, answered.Messages)
	require.Equal(t, []string{"r"}, answered.Trailer.Get("t"))
	require.Equal(t, []Digest{digest(Bytes(0, 1234))}, b.guard.Checked())
	require.Equal(t, []Digest{digest(Bytes(0, 1234))}, b.saw(t, "c").Messages)
	require.Equal(t, []string{"v"}, b.saw(t, "c").Metadata.Get("k"))
}

func largeGuarded(t *testing.T, b *bench) {
	for _, size := range []int{0, 65530, 65531, 1 << 20, 15 << 20} {
		b.guard.Decide(nil)
		answered := b.make(Call{Name: "c", Method: Guarded, Requests: []int{size}, Script: Script{Requests: 1, Responses: []int{1}}})
		require.Equal(t, "OK", code(answered), size)
		require.Equal(t, []Digest{digest(Bytes(0, size))}, b.saw(t, "c").Messages)
		b.guard.Decide(func(context.Context, []byte) (func([]byte), error) {
			return nil, status.Error(codes.PermissionDenied, "no")
		})
		require.Equal(t, "PermissionDenied", code(b.make(Call{Name: "refused", Method: Guarded, Requests: []int{size}, Script: Script{Requests: 1}})), size)
	}
}

func slowDecision(t *testing.T, b *bench) {
	asked, decide := make(chan struct{}), make(chan struct{})
	b.guard.Decide(func(context.Context, []byte) (func([]byte), error) {
		asked <- struct{}{}
		<-decide
		return nil, nil
	})
	const slow = 40 // of 20 KB each: more than the window of a connection
	var calls sync.WaitGroup
	for range slow {
		calls.Go(func() {
			require.Equal(t, "OK", code(b.make(Call{Name: "slow", Method: Guarded, Requests: []int{20_000}, Script: Script{Requests: 1}})))
		})
	}
	for range slow {
		<-asked
	}
	require.Equal(t, "OK", code(b.make(Call{Name: "quick", Method: version, Requests: []int{500_000}, Script: Script{Requests: 1, Responses: []int{500_000}}})))
	require.Nil(t, b.runtime.Seen("slow"))
	close(decide)
	calls.Wait()
}

func givenUp(t *testing.T, b *bench) {
	asked, gone := make(chan int, 100), make(chan int, 100)
	b.guard.Decide(func(ctx context.Context, request []byte) (func([]byte), error) {
		asked <- len(request)
		<-ctx.Done()
		gone <- len(request)
		return nil, nil // too late
	})
	until := func(c <-chan int, size int) {
		for size != <-c {
			continue
		}
	}
	late := Call{Name: "late", Method: Guarded, Requests: []int{10}, Timeout: 50 * time.Millisecond, Script: Script{Requests: 1}}
	for len(asked) == 0 { // a deadline that passes before the guard is asked shows nothing
		require.Equal(t, "DeadlineExceeded", code(b.make(late)))
		late.Timeout *= 2
	}
	until(gone, 10)
	late.Timeout, late.Requests = 0, []int{11}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { until(asked, 11); cancel() }()
	require.Equal(t, "Canceled", code(late.Make(ctx, b.client)))
	until(gone, 11)
	b.guard.Decide(nil)
	require.Equal(t, "OK", code(b.make(Call{Name: "next", Method: Guarded, Requests: []int{10}, Script: Script{Requests: 1}})))
	if seen := b.runtime.Seen("late"); seen != nil {
		require.Empty(t, seen.Messages)
	}
}

func oneMessage(t *testing.T, b *bench) {
	for want, requests := range map[string][]int{
		"no request message":             {},
		"more than one request message;": {5, 5},
	} {
		answered := b.make(Call{Name: "c", Method: Guarded, Requests: requests, Script: Script{Hang: true}})
		require.Contains(t, answered.Status, "InvalidArgument")
		require.Contains(t, answered.Status, want)
	}
	require.Empty(t, b.guard.Checked())
	compressed := Connect(t, Serve(t, b.path2(t)), grpc.WithDefaultCallOptions(grpc.UseCompressor(compressorName)))
	answered := Call{Name: "c", Method: Guarded, Requests: []int{1000}, Script: Script{Requests: 1}}.Make(t.Context(), compressed)
	if code(answered) == "OK" {
		require.Equal(t, []Digest{digest(Bytes(0, 1000))}, b.guard.Checked(), "a compressed message is decoded or refused")
	} else {
		require.Contains(t, answered.Status, "ompress")
		require.Empty(t, b.guard.Checked())
	}
}

// path2 is a second data path to the same runtime.
func (b *bench) path2(t *testing.T) Path { return b.open(t, b.runtime.Socket, b.guard, nil) }

func answerShown(t *testing.T, b *bench) {
	var mu sync.Mutex
	var answered []Digest
	b.guard.Decide(func(context.Context, []byte) (func([]byte), error) {
		return func(response []byte) {
			mu.Lock()
			defer mu.Unlock()
			answered = append(answered, digest(response))
		}, nil
	})
	var want []Digest
	for _, size := range []int{0, 10, 100_000} {
		require.Equal(t, "OK", code(b.make(Call{Name: "c", Method: Guarded, Requests: []int{3}, Script: Script{Requests: 1, Responses: []int{size}}})))
		want = append(want, digest(Bytes(0, size)))
		mu.Lock()
		require.Equal(t, want, answered)
		mu.Unlock()
	}
	require.Equal(t, "NotFound", code(b.make(Call{Name: "c", Method: Guarded, Requests: []int{3}, Script: Script{Requests: 1, Code: codes.NotFound}})))
	require.Equal(t, want, answered, "there was no answer to show")
}

func observedShown(t *testing.T, b *bench) {
	require.Equal(t, "OK", code(b.make(Call{Name: "c", Method: Observed, Requests: []int{70_000}, Script: Script{Requests: 1, Responses: []int{90_000}}})))
	require.Equal(t, [][2]Digest{{digest(Bytes(0, 70_000)), digest(Bytes(0, 90_000))}}, b.guard.seen())
	require.Equal(t, "NotFound", code(b.make(Call{Name: "c", Method: Observed, Requests: []int{7}, Script: Script{Requests: 1, Code: codes.NotFound}})))
	require.Len(t, b.guard.seen(), 1)
	require.Empty(t, b.guard.Checked())
}

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

func reportedOnce(t *testing.T, b *bench) {
	b.guard.Decide(func(_ context.Context, request []byte) (func([]byte), error) {
		if len(request) > 5 {
			return nil, status.Error(codes.PermissionDenied, "no")
		}
		return nil, nil
	})
	want := map[wire.Call]int{}
	expect := func(method string, code codes.Code) {
		want[wire.Call{Method: method, Code: code, Guarded: b.guard.Guards(method)}]++
	}
	for _, result := range []codes.Code{codes.OK, codes.NotFound} {
		b.make(Call{Name: "c", Method: version, Requests: []int{1}, Script: Script{Requests: 1, Code: result}})
		expect(version, result)
		b.make(Call{Name: "c", Method: Guarded, Requests: []int{1}, Script: Script{Requests: 1, Code: result}})
		expect(Guarded, result)
	}
	b.make(Call{Name: "c", Method: Guarded, Requests: []int{10}, Script: Script{Requests: 1}})
	expect(Guarded, codes.PermissionDenied)
	b.make(Call{Name: "c", Method: version, Cancel: 1, Script: Script{Responses: []int{1}, Hang: true}})
	expect(version, codes.Canceled)

	got := func() map[wire.Call]int {
		b.mu.Lock()
		defer b.mu.Unlock()
		counts := map[wire.Call]int{}
		for _, call := range b.finished {
			call.Took = 0
			counts[call]++
		}
		return counts
	}
	require.EventuallyWithT(t, func(t *assert.CollectT) { require.Equal(t, want, got()) }, patience, time.Millisecond)
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
