package relay

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// sendWithin sends a message as an end that keeps to its windows does.
func (p *peer) sendWithin(t *testing.T, id uint32, message []byte) {
	t.Helper()
	for len(message) > 0 {
		synctest.Wait()
		n := int(min(p.left(id), minFrameSize, int64(len(message))))
		require.Positive(t, n, "the client waits for window with %d bytes left", len(message))
		p.data(id, n == len(message), message[:n])
		message = message[n:]
	}
}

// strict is a runtime that gives window back only when half of it is used, and checks that nobody
// sends more than it gave.
type strict struct {
	*peer
	t                *testing.T
	connection, used int64
	streams, spent   map[uint32]int64
	received         map[uint32][]byte
	initial          int64
}

func newStrict(t *testing.T, p *peer) *strict {
	return &strict{peer: p, t: t, connection: initialWindow, streams: map[uint32]int64{}, spent: map[uint32]int64{}, received: map[uint32][]byte{}, initial: initialWindow}
}

// serve takes what has arrived and gives window, until nothing more arrives.
func (r *strict) serve() {
	for {
		frames := r.take()
		if len(frames) == 0 {
			return
		}
		for _, f := range frames {
			if f.Type == http2.FrameData {
				r.consume(f)
			}
		}
	}
}

func (r *strict) consume(f seen) {
	n := int64(len(f.payload))
	r.received[f.StreamID] = append(r.received[f.StreamID], f.payload...)
	r.connection -= n
	r.streams[f.StreamID] -= n
	require.GreaterOrEqual(r.t, r.connection, int64(0), "more than the connection's window")
	require.GreaterOrEqual(r.t, r.streams[f.StreamID]+r.initial, int64(0), "more than the window of stream %d", f.StreamID)
	if r.used += n; r.used >= initialWindow/2 {
		_ = r.framer.WriteWindowUpdate(0, uint32(r.used))
		r.connection += r.used
		r.used = 0
	}
	if r.spent[f.StreamID] += n; r.spent[f.StreamID] >= r.initial/2 {
		_ = r.framer.WriteWindowUpdate(f.StreamID, uint32(r.spent[f.StreamID]))
		r.streams[f.StreamID] += r.spent[f.StreamID]
		r.spent[f.StreamID] = 0
	}
}

func TestLargeGuardedMessageKeepsToEveryWindow(t *testing.T) {
	for _, size := range []int{32_000, 65_530, 65_531, 200_000, 5_000_000} {
		inBubble(t, Options{}, func(s *setup) {
			runtime := newStrict(t, s.runtime)
			request := prefixed(bytes.Repeat([]byte("image"), size/5))
			s.client.call(1, create)
			s.client.sendWithin(t, 1, request)
			q := s.asked()
			runtime.serve()
			require.Empty(t, runtime.received)
			require.Greater(t, s.client.connectionWindow(), int64(initialWindow/2-1), "other streams must be able to go on")
			q.answer <- nil
			runtime.serve()
			require.True(t, bytes.Equal(request, runtime.received[1]))
			require.Equal(t, runtime.connection, s.client.connectionWindow(), "both ends see the same window again")
		})
	}
}

func TestStreamWindowThatTheRuntimeKeepsSmallHoldsNobodyUp(t *testing.T) {
	for _, initial := range []uint32{0, 1, 100, 1 << 20} {
		inBubble(t, Options{}, func(s *setup) {
			runtime := newStrict(t, s.runtime)
			runtime.initial, s.client.initial = int64(initial), int64(initial)
			_ = s.runtime.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: initial})
			synctest.Wait()
			_ = s.client.framer.WriteSettingsAck()
			s.client.call(1, create)
			synctest.Wait()
			if initial == 0 {
				_ = s.runtime.framer.WriteWindowUpdate(1, 10)
				runtime.initial = 10
			}
			request := prefixed(bytes.Repeat([]byte("image"), 2000))
			s.client.sendWithin(t, 1, request)
			s.asked().answer <- nil
			runtime.serve()
			require.True(t, bytes.Equal(request, runtime.received[1]))
		})
	}
}

// A runtime may change the window of streams that are open, and ours with it, but only once it knows
// that the client has heard.
func TestChangedInitialWindowCountsOnceItIsAcknowledged(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, true, prefixed(bytes.Repeat([]byte("x"), 15_000)))
		q := s.asked()
		s.runtime.got()
		_ = s.runtime.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5_000})
		synctest.Wait()
		_ = s.client.framer.WriteSettingsAck()
		require.Equal(t, []string{"SETTINGS 0 ack"}, s.runtime.got())
		q.answer <- nil
		require.Equal(t, []string{"DATA 1 5000"}, s.runtime.got())
		_ = s.runtime.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 6_000})
		require.Empty(t, s.runtime.got())
		_ = s.client.framer.WriteSettingsAck()
		require.Equal(t, []string{"SETTINGS 0 ack", "DATA 1 1000"}, s.runtime.got())
		_ = s.runtime.framer.WriteWindowUpdate(1, 100_000)
		require.Equal(t, []string{"DATA 1 9005 end"}, s.runtime.got())
	})
}

func TestWindowOfPassedStreamsIsTheClients(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, version)
		s.client.data(1, true, prefixed([]byte("x")))
		synctest.Wait()
		_ = s.runtime.framer.WriteWindowUpdate(0, 6)
		_ = s.runtime.framer.WriteWindowUpdate(1, 7)
		require.Equal(t, []string{"WINDOW_UPDATE 0 6", "WINDOW_UPDATE 1 7"}, s.client.got())
	})
}

func TestPaddingOfHeldDataIsGivenBack(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		require.NoError(t, s.client.framer.WriteDataPadded(1, true, prefixed([]byte("image")), make([]byte, 200)))
		require.Equal(t, []string{"WINDOW_UPDATE 0 201"}, s.client.got())
		s.asked().answer <- nil
		got := s.runtime.got()
		require.Equal(t, "DATA 1 10 end", got[len(got)-1])
	})
}

// Many held messages and passed ones, in any order, must neither stall nor send too much.
func TestManyHeldMessagesKeepToEveryWindow(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, Options{}, func(s *setup) {
			random := rand.New(rand.NewPCG(seed, 1))
			runtime := newStrict(t, s.runtime)
			want := map[uint32][]byte{}
			left := map[uint32][]byte{}
			var open []uint32
			for next := uint32(1); next < 80 || len(open) > 0; {
				if next < 80 && random.IntN(3) == 0 {
					method := []string{create, version}[random.IntN(2)]
					s.client.call(next, method)
					left[next] = prefixed(make([]byte, random.IntN(100_000)))
					want[next] = left[next]
					open = append(open, next)
					next += 2
				}
				if len(open) > 0 {
					id := open[random.IntN(len(open))]
					synctest.Wait()
					n := int(min(s.client.left(id), int64(1+random.IntN(minFrameSize)), int64(len(left[id]))))
					if n > 0 {
						s.client.data(id, n == len(left[id]), left[id][:n])
						left[id] = left[id][n:]
					}
					if len(left[id]) == 0 {
						open = remove(open, id)
					}
				}
				select {
				case q := <-s.judge.asked:
					if random.IntN(3) == 0 {
						q.answer <- errNo
					} else {
						q.answer <- nil
					}
				default:
				}
				if random.IntN(4) == 0 || len(open) > 0 && s.client.left(open[0]) <= 0 {
					runtime.serve()
				}
			}
			for synctest.Wait(); len(s.judge.asked) > 0; synctest.Wait() {
				(<-s.judge.asked).answer <- nil
			}
			runtime.serve()
			require.Equal(t, runtime.connection, s.client.connectionWindow())
			for id, got := range runtime.received {
				require.True(t, bytes.Equal(want[id], got), id)
			}
			require.Zero(t, s.relay.held.Load())
		})
	}
}

func remove(ids []uint32, id uint32) []uint32 {
	var kept []uint32
	for _, i := range ids {
		if i != id {
			kept = append(kept, i)
		}
	}
	return kept
}
