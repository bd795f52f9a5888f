package relay

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"portcullis/proxy/wire"
)

func TestCallsThatWaitWhenTheRelayStopsAreLeftToTheNextConnection(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		q := s.asked()
		s.client.call(3, create)
		s.client.data(3, false, prefixed([]byte("image"))[:7])
		s.runtime.got()
		stopped := s.stop(time.Minute)
		require.Equal(t, []string{"GOAWAY 0 last 2147483647 NO_ERROR", "PING 0"}, s.client.got(), "a decision may be about to come")
		pass(soonDecided)
		require.Subset(t, s.client.got(), []string{"RST_STREAM 1 7", "RST_STREAM 3 7"})
		require.ElementsMatch(t, []string{"RST_STREAM 1 8", "RST_STREAM 3 8"}, s.runtime.got())
		require.Error(t, q.ctx.Err(), "nobody waits for that decision")

		s.client.data(3, true, prefixed([]byte("image"))[7:]) // sent before the client has read any of that
		s.client.call(5, create)
		s.client.data(5, true, prefixed([]byte("image")))
		s.notAsked()
		require.Contains(t, s.client.got(), "RST_STREAM 5 7")
		require.Equal(t, []string{"HEADERS 5 :path=" + create, "RST_STREAM 5 8"}, s.runtime.got())
		require.Equal(t, int64(initialWindow), s.client.connectionWindow())

		_ = s.client.framer.WritePing(true, barrier)
		pass(2 * linger)
		require.True(t, done(stopped), "it waits for decisions")
		require.Len(t, s.reported(), 3)
		require.Equal(t, wire.Call{Method: create, Code: codes.Unavailable, Guarded: true}, s.reported()[0])
	})
}

// A client makes a call again once only. The next restart may come soon.
func TestCallsThatAreSoonDecidedAreDecidedWhenTheRelayStops(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		q := s.asked()
		stopped := s.stop(time.Minute)
		s.client.call(3, create) // sent before the client has read that
		s.client.data(3, true, prefixed([]byte("image")))
		late := s.asked()
		s.runtime.got()
		q.answer <- nil
		late.answer <- nil
		require.Equal(t, 2, count(s.runtime.got(), "DATA"))
		s.runtime.ok(1, nil)
		s.runtime.ok(3, nil)
		_ = s.client.framer.WritePing(true, barrier)
		pass(2 * linger)
		require.True(t, done(stopped))
		require.Equal(t, []wire.Call{{Method: create, Guarded: true}, {Method: create, Guarded: true}}, s.reported())
	})
}

func count(frames []string, kind string) (n int) {
	for _, f := range frames {
		if strings.HasPrefix(f, kind+" ") {
			n++
		}
	}
	return n
}

// grpc keeps only so much of a request; a larger one that it is told to make again fails.
func TestRequestsTooLargeToBeMadeAgainAreStillDecided(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		_ = s.runtime.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		_ = s.client.framer.WriteSettingsAck()
		_ = s.runtime.framer.WriteWindowUpdate(0, 1<<20)
		request := prefixed(make([]byte, repeatable))
		s.client.call(1, create)
		s.client.send(1, request)
		q := s.asked()
		stopped := s.stop(time.Minute)
		s.client.call(3, create)
		s.client.send(3, request)
		late := s.asked()
		s.runtime.got()
		for _, q := range []question{q, late} {
			require.NoError(t, q.ctx.Err())
			q.answer <- nil
		}
		require.Contains(t, s.runtime.got(), "DATA 3 5 end", "the last of 17 frames")
		s.runtime.ok(1, nil)
		s.runtime.ok(3, nil)
		_ = s.client.framer.WritePing(true, barrier)
		pass(2 * linger)
		require.True(t, done(stopped))
		require.Equal(t, []wire.Call{{Method: create, Guarded: true}, {Method: create, Guarded: true}}, s.reported())
	})
}

// left collects the runtime connections that the relay does not close.
type left struct{ conns []net.Conn }

func (l *left) options() Options {
	return Options{Unfinished: func(runtime net.Conn) { l.conns = append(l.conns, runtime) }}
}

func TestWhatTheRuntimeIsExecutingIsNotCancelledWhenTheTimeToDrainIsOver(t *testing.T) {
	var unfinished left
	inBubble(t, unfinished.options(), func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		s.asked().answer <- nil
		synctest.Wait()
		s.client.call(3, create) // too large to be made again, and not decided
		s.client.send(3, prefixed(make([]byte, repeatable)))
		q := s.asked()
		s.client.call(5, pull)
		s.client.data(5, false, prefixed([]byte("image"))[:3]) // half a request
		s.runtime.got()
		stopped := s.stop(3 * time.Second)
		pass(4 * time.Second)
		require.True(t, done(stopped))
		require.Error(t, q.ctx.Err())
		require.Error(t, s.client.over(), "the client waits for an answer that nobody will pass on")
		require.ElementsMatch(t, []string{"RST_STREAM 3 8", "RST_STREAM 5 8"}, s.runtime.got())
		require.NoError(t, s.runtime.over())
		require.Len(t, unfinished.conns, 1)
		require.Len(t, s.reported(), 3)

		kept := unfinished.conns[0]
		defer kept.Close()
		go s.runtime.ok(1, []byte("id"))
		n, err := kept.Read(make([]byte, 1000))
		require.NoError(t, err)
		require.Positive(t, n)
	})
}

func TestConnectionsOnWhichNothingIsExecutedAreClosed(t *testing.T) {
	for name, c := range map[string]func(*setup){
		"no call":                 func(*setup) {},
		"request not complete":    func(s *setup) { s.client.call(1, pull) },
		"guarded, without a word": func(s *setup) { s.client.call(1, create) },
		"endless": func(s *setup) {
			s.client.call(1, events)
			s.client.data(1, true, prefixed(nil))
		},
		"answered": func(s *setup) {
			s.client.call(1, pull)
			s.client.data(1, true, prefixed(nil))
			synctest.Wait()
			s.runtime.ok(1, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var unfinished left
			inBubble(t, unfinished.options(), func(s *setup) {
				c(s)
				require.True(t, done(s.stop(0)))
				require.Empty(t, unfinished.conns)
				require.Error(t, s.runtime.over())
			})
		})
	}
}

// Whatever came next on such a connection would be read as the rest of that frame.
func TestFlushSaysThatAFrameMayHaveBeenCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		defer ours.Close()
		to := newSink(ours, maxInjected)
		to.inject(resetStream(1, http2.ErrCodeCancel))
		_, err := theirs.Read(make([]byte, 5))
		require.NoError(t, err)
		began := time.Now()
		require.Error(t, to.flush())
		require.Equal(t, linger, time.Since(began))
	})
}
