package nodes

import (
	"context"
	"fmt"
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
		turns := newTurns(2, 10, 1)
		began := time.Now()
		var sentAway atomic.Int64
		var calls sync.WaitGroup
		for i := range callers {
			calls.Go(func() {
				for {
					letIn, _, answer := called(as(t.Context(), fmt.Sprint(i)), turns, work)
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
		assert.Empty(t, turns.pace.places)
	})
}

func as(ctx context.Context, node string) context.Context {
	return access.With(ctx, access.Principal{Kind: access.Node, Name: node})
}

// told is how long a caller was sent away for.
func told(t *testing.T, answer *httptest.ResponseRecorder) time.Duration {
	t.Helper()
	var details status.Status
	var again errdetails.RetryInfo
	encoded, err := connect.DecodeBinaryHeader(answer.Header().Get("Grpc-Status-Details-Bin"))
	if assert.NoError(t, err) && assert.NoError(t, proto.Unmarshal(encoded, &details)) && assert.Len(t, details.GetDetails(), 1) {
		assert.NoError(t, details.GetDetails()[0].UnmarshalTo(&again))
	}
	return again.GetRetryDelay().AsDuration()
}

func TestCallsThatAreNotServedSayNothingOfThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 1000, 1)
		waiting, leave := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for i := range 1000 {
			calls.Go(func() { called(as(waiting, fmt.Sprint(i)), turns, time.Minute) })
		}
		synctest.Wait()
		<-time.After(maxWait + time.Second)
		leave()
		synctest.Wait()
		assert.Equal(t, firstInterval, turns.pace.interval)
		calls.Wait()
	})
}

func newPace(interval time.Duration) *pace {
	return &pace{interval: interval, slowest: 100 * time.Millisecond, places: map[string]time.Time{}}
}

func TestNobodyIsSentAwayForLong(t *testing.T) {
	p, now := newPace(10*time.Millisecond), time.Now()
	longest := time.Duration(0)
	for i := range 10_000 {
		longest = max(longest, p.again(fmt.Sprint(i), now, 512))
	}
	require.LessOrEqual(t, longest, maxAgain)
	require.Greater(t, longest, maxAgain*9/10)
}

func TestANodeThatCallsAllTheTimeTakesOnePlace(t *testing.T) {
	p, now := newPace(10*time.Millisecond), time.Now()
	first := p.again("rogue", now, 100)
	for range 1000 {
		require.Equal(t, first, p.again("rogue", now, 100))
	}
	require.Equal(t, first+10*time.Millisecond, p.again("honest", now, 100))
	require.Less(t, p.again("rogue", now.Add(time.Hour), 100), time.Second, "its place has passed")
}

func TestAPauseIsForgottenWhenOthersAreServedAgain(t *testing.T) {
	p, now := newPace(time.Millisecond), time.Now()
	p.left(now, true)
	now = now.Add(time.Hour)
	p.left(now, true)
	require.Equal(t, p.slowest, p.interval)
	require.Greater(t, p.again("early", now, 100), 5*time.Second)
	for range 1000 {
		p.left(now, true)
	}
	require.Equal(t, shortestInterval, p.interval)
	require.Less(t, p.again("late", now, 100), 50*time.Millisecond)
}

func TestPlacesThatNobodyComesForAreDropped(t *testing.T) {
	p, now := newPace(shortestInterval), time.Now()
	for i := range 1000 {
		p.again(fmt.Sprint(i), now.Add(time.Duration(i)*time.Minute), 100)
		require.Len(t, p.places, 1)
	}
}
