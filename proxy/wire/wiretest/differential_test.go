package wiretest_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portcullis/proxy/wire/wiretest"
)

// seen is a call as both ends saw it.
type seen struct {
	client  wiretest.Answered
	runtime *wiretest.Received
}

// play makes the calls, so many at once, over one connection through a data path, and returns what
// both ends saw.
func play(t *testing.T, what string, guard *wiretest.Guard, calls []wiretest.Call, atOnce int) map[string]seen {
	t.Helper()
	runtime := wiretest.StartRuntime(t, filepath.Join(t.TempDir(), "r.sock"))
	socket := runtime.Socket
	if what != "direct" {
		path, err := open(what, runtime.Socket, guard, nil)
		require.NoError(t, err)
		socket = wiretest.Serve(t, path)
	}
	client := wiretest.Connect(t, socket, grpc.WithUserAgent("differential"))
	answers := make([]wiretest.Answered, len(calls))
	var making sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i, call := range calls {
		places <- struct{}{}
		making.Go(func() {
			answers[i] = call.Make(context.Background(), client)
			<-places
		})
	}
	making.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	result := map[string]seen{}
	for i, call := range calls {
		s := seen{client: answers[i]}
		if s.runtime = runtime.Seen(call.Name); s.runtime == nil && !call.Refused {
			s.runtime = runtime.WaitFor(ctx, call.Name)
		}
		result[call.Name] = s
	}
	return result
}

// requireSame compares call by call, because a difference in a thousand calls cannot be read.
func requireSame(t *testing.T, calls []wiretest.Call, want, got map[string]seen, what string) {
	t.Helper()
	want, got = hops(want, what), hops(got, what)
	for _, call := range calls {
		require.Equal(t, want[call.Name], got[call.Name], "%+v", call)
	}
}

// hops leaves out what is of a connection and not of a call, where what makes two hops of it.
func hops(calls map[string]seen, what string) map[string]seen {
	if what == relayPath {
		return calls
	}
	kept := map[string]seen{}
	for name, call := range calls {
		kept[name] = seen{call.client, call.runtime.BetweenHops()}
	}
	return kept
}

func TestNeitherEndSeesThatADataPathIsThere(t *testing.T) {
	for _, c := range []struct {
		seed   uint64
		atOnce int
	}{{1, 1}, {2, 10}, {3, 100}, {4, 1000}} {
		t.Run(fmt.Sprintf("%d at once", c.atOnce), func(t *testing.T) {
			calls := wiretest.Random(c.seed, max(200, c.atOnce))
			want := play(t, "direct", nil, calls, c.atOnce)
			for _, what := range []string{relayPath, grpcPath} {
				guard := &wiretest.Guard{}
				guard.Decide(slowly)
				requireSame(t, calls, want, play(t, what, guard, calls, c.atOnce), what)
			}
		})
	}
}

// slowly allows every request after a time that depends on the request.
func slowly(ctx context.Context, request []byte) (func([]byte), error) {
	sum := fnv.New32()
	_, _ = sum.Write(request) // never fails
	select {
	case <-time.After(time.Duration(sum.Sum32()%5) * time.Millisecond):
	case <-ctx.Done():
	}
	return func([]byte) {}, nil
}

func TestLargeMessagesPassBothWays(t *testing.T) {
	var calls []wiretest.Call
	for _, size := range []int{1, 16 << 10, 65535, 65536, 1 << 20, 4<<20 + 1, 15 << 20} {
		for _, method := range []string{wiretest.Guarded, wiretest.Observed, "/runtime.v1.RuntimeService/ListContainers"} {
			calls = append(calls, wiretest.Call{
				Name: fmt.Sprint(size, method), Method: method, Requests: []int{size},
				Script: wiretest.Script{Requests: 1, Responses: []int{size}},
			})
		}
	}
	want := play(t, "direct", nil, calls, 4)
	for _, what := range []string{relayPath, grpcPath} {
		requireSame(t, calls, want, play(t, what, &wiretest.Guard{}, calls, 4), what)
	}
}

// refuse says what becomes of a guarded request of that size.
func refuse(size int) error {
	switch size % 7 {
	case 3:
		return status.Errorf(codes.PermissionDenied, "拦截 %d%%", size)
	case 4:
		return context.DeadlineExceeded
	}
	return nil
}

func TestRefusalsAreTheSameOnEveryPath(t *testing.T) {
	var calls []wiretest.Call
	for i, random := range wiretest.Random(7, 300) {
		if i%2 == 0 {
			random.Method, random.Requests = wiretest.Guarded, []int{i * i}
			random.Script = wiretest.Script{Requests: 1, Responses: []int{i}}
			random.Cancel = 0
		}
		random.Refused = random.Method == wiretest.Guarded && refuse(random.Requests[0]) != nil
		calls = append(calls, random)
	}
	played := map[string]map[string]seen{}
	for _, what := range []string{relayPath, grpcPath} {
		guard := &wiretest.Guard{}
		guard.Decide(func(_ context.Context, request []byte) (func([]byte), error) { return nil, refuse(len(request)) })
		played[what] = play(t, what, guard, calls, 50)
	}
	for _, call := range calls {
		relay, grpc := played[relayPath][call.Name], played[grpcPath][call.Name]
		require.Equal(t, grpc.client, relay.client, "%+v", call)
		if call.Refused {
			require.Nil(t, grpc.runtime)
			require.True(t, relay.runtime == nil || len(relay.runtime.Messages) == 0, "%+v", call)
			continue
		}
		require.Equal(t, grpc.runtime.BetweenHops(), relay.runtime.BetweenHops(), "%+v", call)
	}
}

func TestDeadlinesAndCancellationsAreTheSameOnEveryPath(t *testing.T) {
	calls := func(unit time.Duration) []wiretest.Call {
		return []wiretest.Call{
			{Name: "deadline before headers", Method: "/a.B/C", Timeout: unit, Script: wiretest.Script{Hang: true}},
			{Name: "deadline after headers", Method: "/a.B/C", Timeout: 2 * unit, Script: wiretest.Script{HeaderOnly: true, Header: metadata.Pairs("a", "b"), Hang: true}},
			{Name: "deadline in a guarded call", Method: wiretest.Guarded, Requests: []int{5}, Timeout: 2 * unit, Script: wiretest.Script{Requests: 1, Hang: true}},
			{Name: "cancelled in a guarded call", Method: wiretest.Guarded, Requests: []int{5}, Cancel: 1, Script: wiretest.Script{Requests: 1, Responses: []int{5}, Hang: true}},
		}
	}
	for _, what := range []string{relayPath, grpcPath} {
		// A deadline that passes before the runtime has begun with the call shows something else. So
		// where paths differ they get more time, and differ again if they do not do the same.
		for unit := 100 * time.Millisecond; ; unit *= 5 {
			want, got := codesOnly(play(t, "direct", nil, calls(unit), 4)), codesOnly(play(t, what, &wiretest.Guard{}, calls(unit), 4))
			if unit > 10*time.Second || reflect.DeepEqual(hops(want, what), hops(got, what)) {
				requireSame(t, calls(unit), want, got, what)
				break
			}
		}
	}
}

// codesOnly leaves out the texts of results: whether the client or the runtime is first to notice that
// a deadline has passed decides on them.
func codesOnly(calls map[string]seen) map[string]seen {
	for name, call := range calls {
		call.client.Status, _, _ = strings.Cut(call.client.Status, ":")
		calls[name] = call
	}
	return calls
}
