package nodes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"portcullis/central/access"
)

// called calls turns as a node does, with work that takes so long, and returns when it was let in, or what it was
// answered instead.
func called(ctx context.Context, turns *turns, work time.Duration) (letIn bool, at time.Time, answer *httptest.ResponseRecorder) {
	answer = httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	request.Header.Set("Content-Type", "application/grpc")
	turns.serve(answer, request, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		letIn, at = true, time.Now()
		<-time.After(work)
	}))
	return letIn, at, answer
}

func TestCallsAreLetInOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, began := newTurns(1, 10, 10), time.Now()
		var calls sync.WaitGroup
		for i := range 3 {
			calls.Go(func() {
				letIn, at, _ := called(t.Context(), turns, time.Second)
				assert.True(t, letIn)
				assert.Equal(t, time.Duration(i)*time.Second, at.Sub(began))
			})
			synctest.Wait()
		}
		calls.Wait()
	})
}

func TestACallDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 10, 10)
		var first sync.WaitGroup
		defer first.Wait()
		first.Go(func() { called(t.Context(), turns, time.Hour) })
		synctest.Wait()
		letIn, _, answer := called(t.Context(), turns, 0)
		require.False(t, letIn)
		require.Equal(t, "14", answer.Header().Get("Grpc-Status"), "UNAVAILABLE, which is tried again")

		gone, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		letIn, _, answer = called(gone, turns, 0)
		require.False(t, letIn)
		require.Empty(t, answer.Header())
	})
}

func TestThoseThatAreTooManyDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 10, 10)
		enough, leave := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { called(enough, turns, time.Second) })
		}
		synctest.Wait()
		began := time.Now()
		letIn, _, answer := called(t.Context(), turns, 0)
		require.False(t, letIn)
		require.Equal(t, "14", answer.Header().Get("Grpc-Status"), "UNAVAILABLE, which is tried again")
		require.Zero(t, time.Since(began))
		leave()
		calls.Wait()
		letIn, _, _ = called(t.Context(), turns, 0)
		require.True(t, letIn, "there is room again")
	})
}

func TestARogueNodeDoesNotTakeThePlacesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 10, 2)
		rogue, leave := context.WithCancel(access.With(t.Context(), access.Principal{Kind: access.Node, Name: "rogue"}))
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() { called(rogue, turns, time.Second) })
		}
		synctest.Wait()
		letIn, _, _ := called(access.With(t.Context(), access.Principal{Kind: access.Node, Name: "honest"}), turns, 0)
		require.True(t, letIn)
		leave()
		calls.Wait()
		require.Empty(t, turns.ofNode)
	})
}

func TestThoseThatAreSentAwayComeAgainOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, work = 500, 50 * time.Millisecond
		turns := newTurns(2, 10, callers)
		began := time.Now()
		var sentAway atomic.Int64
		var calls sync.WaitGroup
		for range callers {
			calls.Go(func() {
				for {
					letIn, _, answer := called(t.Context(), turns, work)
					if letIn {
						return
					}
					sentAway.Add(1)
					<-time.After(told(t, answer))
				}
			})
		}
		calls.Wait()
		assert.Less(t, time.Since(began), callers*work/2*6/5, "two at a time, and seldom nobody")
		assert.Less(t, sentAway.Load(), int64(3*callers), "though the first were told of a moment when there was no room yet")
	})
}

// told is how long a caller was sent away for.
func told(t *testing.T, answer *httptest.ResponseRecorder) time.Duration {
	t.Helper()
	encoded, err := connect.DecodeBinaryHeader(answer.Header().Get("Grpc-Status-Details-Bin"))
	require.NoError(t, err)
	var details status.Status
	require.NoError(t, proto.Unmarshal(encoded, &details))
	require.Len(t, details.GetDetails(), 1)
	var again errdetails.RetryInfo
	require.NoError(t, details.GetDetails()[0].UnmarshalTo(&again))
	return again.GetRetryDelay().AsDuration()
}

func TestNobodyIsSentAwayForLong(t *testing.T) {
	p := pace{interval: time.Second}
	for range 10_000 {
		require.LessOrEqual(t, p.again(time.Now(), 512), maxAgain)
	}
}
