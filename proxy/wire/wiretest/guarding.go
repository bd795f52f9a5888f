package wiretest

import (
	"context"
	"errors"
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
