package relay

import (
	"context"
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

// stop stops the relay and returns a channel that is closed when it has.
func (s *setup) stop(within time.Duration) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		s.relay.Stop(ctx)
		close(stopped)
	}()
	synctest.Wait()
	return stopped
}

func done(c <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestStopLosesNoCall(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, version)
		s.client.data(1, true, prefixed(nil))
		s.client.call(3, create)
		s.client.data(3, true, prefixed([]byte("image")))
		s.asked().answer <- nil
		require.Contains(t, s.runtime.got(), "DATA 3 10 end")
		stopped := s.stop(time.Minute)
		require.Equal(t, []string{"GOAWAY 0 last 2147483647 NO_ERROR", "PING 0"}, s.client.got())
		s.client.call(5, version) // sent before the client has read the GOAWAY
		s.client.data(5, true, prefixed(nil))
		_ = s.client.framer.WritePing(true, barrier)
		require.Equal(t, []string{"GOAWAY 0 last 5 NO_ERROR"}, s.client.got())
		for _, f := range s.runtime.take() {
			require.NotEqual(t, http2.FramePing, f.Type, "the answer to our PING is ours")
		}
		pass(10 * time.Second)
		require.False(t, done(stopped))
		require.Empty(t, s.runtime.got(), "what the runtime is executing is not cancelled")
		s.runtime.ok(1, nil)
		s.runtime.ok(3, nil)
		require.False(t, done(stopped))
		s.runtime.ok(5, nil)
		require.Len(t, s.client.got(), 9)
		pass(2 * linger)
		require.True(t, done(stopped))
		require.Error(t, s.client.over())
		require.Error(t, s.runtime.over())
		require.Equal(t, []wire.Call{{Method: version}, {Method: create, Guarded: true}, {Method: version}}, s.reported())
	})
}

func TestWhoIsAcceptedWhileTheRelayStopsIsGreetedBeforeItIsSentAway(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, version)
		s.client.data(1, true, prefixed(nil))
		stopped := s.stop(time.Minute)
		late := s.join()
		require.Equal(t, []string{"SETTINGS 0", "GOAWAY 0 last 2147483647 NO_ERROR", "PING 0"}, late.got())
		late.conn.Close()
		s.runtime.ok(1, nil)
		_ = s.client.framer.WritePing(true, barrier)
		pass(2 * linger)
		require.True(t, done(stopped))
	})
}

func TestStopEndsEndlessCallsFirst(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, events)
		s.client.data(1, true, prefixed(nil))
		s.client.call(3, events)
		s.client.data(3, true, prefixed(nil))
		synctest.Wait()
		s.runtime.open(1, false, ":status", "200", "content-type", "application/grpc")
		s.client.got()
		s.runtime.got()
		stopped := s.stop(time.Minute)
		frames := s.client.take()
		require.Len(t, frames, 4)
		for _, f := range frames[:2] {
			require.Contains(t, f.String(), "grpc-status=14 grpc-message=portcullis: restarting; call again end")
			require.Equal(t, f.StreamID == 3, f.fields[0].Name == ":status", "headers had been sent on stream 1")
		}
		require.ElementsMatch(t, []string{"RST_STREAM 1 8", "RST_STREAM 3 8"}, s.runtime.got())
		s.client.call(5, events)
		s.client.data(5, true, prefixed(nil))
		require.Contains(t, s.client.got()[0], "HEADERS 5 grpc-status=14")
		_ = s.client.framer.WritePing(true, barrier)
		pass(2 * linger)
		require.True(t, done(stopped))
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, pull)
		s.client.data(1, true, prefixed(nil))
		s.client.call(3, version)
		stopped := s.stop(3 * time.Second)
		pass(2 * time.Second)
		require.False(t, done(stopped))
		pass(2 * time.Second)
		require.True(t, done(stopped))
		require.Error(t, s.client.over())
		require.Error(t, s.runtime.over())
		require.Equal(t, []codes.Code{codes.Unavailable, codes.Unavailable}, []codes.Code{s.reported()[0].Code, s.reported()[1].Code})
	})
}

// A GOAWAY that leaves more streams alive than one before makes clients drop the connection.
func TestGoAwaysNeverGrow(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, version)
		synctest.Wait()
		_ = s.runtime.framer.WriteGoAway(1, http2.ErrCodeNo, []byte("why"))
		require.Equal(t, []string{"GOAWAY 0 last 1 NO_ERROR"}, s.client.got())
		s.stop(time.Minute)
		require.Equal(t, []string{"GOAWAY 0 last 1 NO_ERROR", "PING 0"}, s.client.got())
		_ = s.runtime.framer.WriteGoAway(maxWindow, http2.ErrCodeNo, []byte("why"))
		frames := s.client.take()
		require.Equal(t, "GOAWAY 0 last 1 NO_ERROR", frames[0].String())
		require.Equal(t, "why", string(frames[0].payload[8:]))
	})
}

func TestRuntimeThatGoesEndsItsCallsAndNothingWaits(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, version)
		s.client.call(3, create)
		s.client.data(3, true, prefixed([]byte("image")))
		q := s.asked()
		s.runtime.open(1, false, ":status", "200")
		_ = s.runtime.framer.WriteData(1, false, []byte("last words"))
		s.runtime.conn.Close()
		require.Equal(t, []string{"HEADERS 1", "DATA 1 10"}, s.client.got()[:2])
		require.Error(t, s.client.over())
		require.Error(t, q.ctx.Err())
		for _, call := range s.reported() {
			require.Equal(t, codes.Unavailable, call.Code)
		}
		require.Len(t, s.reported(), 2)
	})
}

func TestAbsentRuntimeIsUnavailableAtOnceAndBackWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{})
		s.mu.Lock()
		s.absent = true
		s.mu.Unlock()
		defer s.end()
		began := time.Now()
		client := s.join(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		require.Equal(t, []string{"SETTINGS 0", "SETTINGS 0 ack"}, client.got())
		client.call(1, version)
		client.data(1, true, prefixed([]byte("x")))
		client.open(3, true, ":method", "POST", ":path", create)
		_ = client.framer.WritePing(false, [8]byte{1})
		frames := client.take()
		var texts []string
		for _, f := range frames {
			texts = append(texts, f.String())
		}
		require.Equal(t, []string{"HEADERS 1", "RST_STREAM 1 0", "WINDOW_UPDATE 0 6", "HEADERS 3", "PING 0 ack"}, firstWords(texts))
		require.Contains(t, frames[0].String(), "grpc-status=14 grpc-message=portcullis: the container runtime cannot be reached")
		require.Equal(t, byte(0x20), frames[0].payload[0], "the client has no header table")
		require.Equal(t, began, time.Now())
		require.Equal(t, []wire.Call{{Method: version, Code: codes.Unavailable}, {Method: create, Code: codes.Unavailable, Guarded: true}}, s.reported())
		require.False(t, s.relay.Connected())

		pass(time.Minute)
		s.mu.Lock()
		s.absent = false
		s.mu.Unlock()
		pass(2 * retry)
		require.True(t, s.relay.Connected())
		require.Equal(t, []string{"GOAWAY 0 last 3 NO_ERROR"}, client.got())
		pass(2 * linger)
		require.Error(t, client.over())
		s.connect()
		s.client.call(1, version)
		require.Equal(t, []string{"HEADERS 1 :path=" + version}, s.runtime.got())
	})
}

func TestRuntimeThatTakesConnectionsAndSaysNothingIsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{})
		synctest.Wait()
		s.mu.Lock()
		s.hangs = true
		s.mu.Unlock()
		defer s.end()
		client := s.join()
		pass(time.Second)
		client.call(1, version)
		require.Contains(t, strings.Join(client.got(), " "), "HEADERS 1 grpc-status=14")
		next := s.join()
		next.call(1, version)
		require.Contains(t, strings.Join(next.got(), " "), "HEADERS 1 grpc-status=14", "known to hang, it is not waited for again")
		pass(time.Hour)
		require.Less(t, len(s.dialed), 5, "a runtime that hangs must not find thousands of connections when it wakes up")
		probe := s.dialed[len(s.dialed)-1]
		require.NoError(t, probe.framer.WriteSettings()) // it wakes up
		require.Contains(t, strings.Join(client.got(), " "), "GOAWAY")
		require.True(t, s.relay.Connected())
	})
}

func TestRuntimeThatHangsLaterLosesItsClientsButNotTheirCalls(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, version)
		s.client.data(1, true, prefixed(nil))
		pass(5 * time.Second)
		require.Empty(t, s.client.got(), "a slow call on a runtime that lives")
		s.mu.Lock()
		s.hangs = true
		s.mu.Unlock()
		pass(10 * time.Second)
		require.Equal(t, []string{"GOAWAY 0 last 2147483647 NO_ERROR", "PING 0"}, s.client.got())
		next := s.join()
		next.call(1, version)
		require.Contains(t, strings.Join(next.got(), " "), "HEADERS 1 grpc-status=14")
		s.runtime.ok(1, []byte("at last"))
		require.Len(t, s.client.got(), 3)
	})
}

func TestClientThatDoesNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{})
		defer s.end()
		synctest.Wait()
		ours, theirs := net.Pipe()
		p := newPeer(theirs)
		require.True(t, s.relay.begin(newClient(ours, 0)))
		_, err := theirs.Write([]byte(http2.ClientPreface))
		require.NoError(t, err)
		require.NoError(t, p.framer.WriteSettings())
		var failed error
		for id := uint32(1); id < 1_000_000 && failed == nil; id += 2 {
			p.block.Reset()
			failed = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: encoded(":path", "/?"+strings.Repeat("x", 1000)), EndHeaders: true, EndStream: true})
		}
		require.Error(t, failed)
	})
}

func TestClientThatIsNoneIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := begin(t, Options{})
		defer s.end()
		for _, text := range []string{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x00notasett", http2.ClientPreface + "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01"} {
			ours, theirs := net.Pipe()
			require.True(t, s.relay.begin(newClient(ours, 0)))
			_, err := theirs.Write([]byte(text))
			require.NoError(t, err)
			_, err = theirs.Read(make([]byte, 1))
			require.Error(t, err)
		}
		ours, theirs := net.Pipe()
		require.True(t, s.relay.begin(newClient(ours, 0)))
		began := time.Now()
		_, err := theirs.Read(make([]byte, 1)) // and says nothing
		require.Error(t, err)
		require.Equal(t, prefaceTimeout, time.Since(began))
		require.True(t, s.relay.Connected(), "none of that is the runtime's fault")
	})
}
