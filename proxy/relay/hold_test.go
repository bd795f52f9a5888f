package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"portcullis/proxy/wire"
)

var errNo = status.Error(codes.PermissionDenied, "no")

func TestGuardedMessageWaitsAndNothingElseDoes(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		require.Equal(t, []string{"HEADERS 1 :path=" + create}, s.runtime.got(), "headers never wait")
		s.client.data(1, true, prefixed([]byte("image")))
		q := s.asked()
		require.Equal(t, "image", string(q.request))
		s.client.call(3, version)
		s.client.data(3, true, prefixed(nil))
		_ = s.client.framer.WritePing(false, [8]byte{1})
		require.Equal(t, []string{"HEADERS 3 :path=" + version, "DATA 3 5 end", "PING 0"}, s.runtime.got())
		q.answer <- nil
		frames := s.runtime.take()
		require.Len(t, frames, 1)
		require.Equal(t, "DATA 1 10 end", frames[0].String())
		require.Equal(t, prefixed([]byte("image")), frames[0].payload)
		s.runtime.ok(1, []byte("id"))
		require.Equal(t, []string{"HEADERS 1", "DATA 1 7", "HEADERS 1 grpc-status=0 grpc-message= end"}, s.client.got())
		require.Equal(t, []string{"id"}, s.judge.answers)
		require.Equal(t, []wire.Call{{Method: create, Guarded: true}}, s.reported())
	})
}

func TestWhatIsAllowedAtOnceGoesOnAndTheRestWaits(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.judge.now = func(request []byte) bool { return string(request) == "known" }
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("known")))
		require.Equal(t, []string{"HEADERS 1 :path=" + create, "DATA 1 10 end"}, s.runtime.got())
		s.notAsked()
		s.runtime.ok(1, []byte("id"))
		synctest.Wait()
		require.Equal(t, []string{"id"}, s.judge.answers)

		s.client.call(3, create)
		s.client.data(3, true, prefixed([]byte("new")))
		require.Equal(t, []string{"HEADERS 3 :path=" + create}, s.runtime.got())
		s.asked().answer <- errNo
		require.Equal(t, []string{"RST_STREAM 3 8"}, s.runtime.got())
	})
}

func TestAnAllowedCallThatHasEndedMeanwhileDoesNotGoOn(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		decide := make(chan struct{})
		s.judge.now = func([]byte) bool {
			<-decide
			return true
		}
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		synctest.Wait()
		s.runtime.open(1, true, ":status", "200", "grpc-status", "8")
		synctest.Wait()
		close(decide)
		require.Equal(t, []string{"HEADERS 1 :path=" + create, "RST_STREAM 1 8"}, s.runtime.got())
		require.Equal(t, []string{"HEADERS 1 grpc-status=8 end", "WINDOW_UPDATE 0 10"}, s.client.got())
	})
}

func TestRefusedCallIsResetAtTheRuntimeAndAnsweredToTheClient(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		s.runtime.got()
		s.asked().answer <- status.Error(codes.PermissionDenied, "100% 拦截")
		require.Equal(t, []string{"RST_STREAM 1 8"}, s.runtime.got())
		require.Equal(t, []string{"HEADERS 1 grpc-status=7 grpc-message=100%25 %E6%8B%A6%E6%88%AA end", "WINDOW_UPDATE 0 10"}, s.client.got())
		require.Equal(t, int64(initialWindow), s.client.connectionWindow())
		require.Equal(t, []wire.Call{{Method: create, Code: codes.PermissionDenied, Guarded: true}}, s.reported())
	})
}

// A field that only one of the two ends had indexed would turn every later header into another.
func TestRefusalLeavesTheHeaderTablesAlone(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		for i := range uint32(20) {
			id := 4*i + 1
			s.client.call(id, create, "x-call", fmt.Sprint(i))
			s.client.data(id, true, prefixed([]byte("image")))
			s.asked().answer <- errNo
			synctest.Wait()
			s.client.call(id+2, version, "x-call", fmt.Sprint(i))
			synctest.Wait()
			s.runtime.open(id+2, true, ":status", "200", "grpc-status", fmt.Sprint(i%3), "x-answer", fmt.Sprint(i))
			frames := s.client.take()
			last := frames[len(frames)-1]
			require.Equal(t, fmt.Sprint(i), last.fields[2].Value)
			seen := s.runtime.take()
			require.Equal(t, fmt.Sprint(i), seen[len(seen)-1].fields[6].Value)
		}
	})
}

func TestRequestsThatCannotBeJudgedAreRefused(t *testing.T) {
	compressed := prefixed([]byte("image"))
	compressed[0] = 1
	for name, c := range map[string]struct {
		pieces [][]byte
		want   string
	}{
		"nothing":            {[][]byte{nil}, "carries no request message"},
		"half a prefix":      {[][]byte{{0, 0}}, "ends before"},
		"half a message":     {[][]byte{prefixed([]byte("image"))[:7]}, "ends before"},
		"two messages":       {[][]byte{prefixed([]byte("a")), prefixed([]byte("b"))}, "more than one"},
		"two in one frame":   {[][]byte{append(prefixed([]byte("a")), prefixed(nil)...)}, "more than one"},
		"one byte too many":  {[][]byte{append(prefixed([]byte("a")), 0)}, "more than one"},
		"compressed":         {[][]byte{compressed}, "compressed"},
		"flag that is none":  {[][]byte{{7, 0, 0, 0, 0}}, "compressed"},
		"too long":           {[][]byte{{0, 0xff, 0, 0, 0}}, "4278190080 bytes and 16777216 are allowed"},
		"announced too long": {[][]byte{{0, 1, 0, 0, 1}}, "16777217 bytes and 16777216 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(s *setup) {
				s.client.call(1, create)
				for i, piece := range c.pieces {
					s.client.data(1, i == len(c.pieces)-1, piece)
				}
				s.notAsked()
				answer := strings.Join(s.client.got(), "\n")
				require.Contains(t, answer, "HEADERS 1 grpc-status=")
				require.Contains(t, answer, c.want)
				require.Equal(t, []string{"HEADERS 1 :path=" + create, "RST_STREAM 1 8"}, s.runtime.got())
				require.Equal(t, int64(initialWindow), s.client.connectionWindow())
			})
		})
	}
	t.Run("no data at all", func(t *testing.T) {
		inBubble(t, Options{}, func(s *setup) {
			s.client.open(1, true, ":method", "POST", ":path", create)
			require.Contains(t, s.client.got()[0], "carries no request message")
			require.Equal(t, []string{"HEADERS 1 :path=" + create + " end", "RST_STREAM 1 8"}, s.runtime.got())
		})
	})
}

func TestClientThatSpeaksOnAfterARefusalIsNotHeard(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, false, []byte{1, 0, 0, 0, 0})
		require.Equal(t, []string{"HEADERS 1", "RST_STREAM 1 0", "WINDOW_UPDATE 0 5"}, firstWords(s.client.got()))
		s.runtime.got()
		s.client.data(1, false, bytes.Repeat([]byte("x"), 1000))
		s.client.data(1, true, prefixed([]byte("image")))
		require.Empty(t, s.runtime.got())
		require.Equal(t, int64(initialWindow), s.client.connectionWindow(), "it may send on other streams")
	})
}

// firstWords leaves out the texts of refusals.
func firstWords(frames []string) []string {
	for i, f := range frames {
		frames[i], _, _ = strings.Cut(f, " grpc-")
	}
	return frames
}

func TestMessageInFramesOfOneByteIsOneMessage(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		request := prefixed(bytes.Repeat([]byte("image"), 100))
		s.client.call(1, create)
		for i := range request {
			s.client.data(1, false, request[i:i+1])
			s.client.data(1, false, nil)
		}
		s.notAsked()
		s.client.data(1, true, nil)
		q := s.asked()
		require.Equal(t, request[prefixLen:], q.request)
		s.runtime.got()
		q.answer <- nil
		require.Equal(t, []string{"DATA 1 505 end"}, s.runtime.got())
	})
}

func TestRequestThatIsNeverCompletedIsEnded(t *testing.T) {
	inBubble(t, Options{RequestTimeout: 10 * time.Second}, func(s *setup) {
		s.client.call(1, create)
		s.client.data(1, false, prefixed([]byte("image"))[:8])
		s.runtime.got()
		pass(9 * time.Second)
		require.Empty(t, s.client.got())
		pass(2 * time.Second)
		require.Equal(t, []string{"HEADERS 1 grpc-status=4 grpc-message=portcullis: the request message does not arrive end", "RST_STREAM 1 0", "WINDOW_UPDATE 0 8"}, s.client.got())
		require.Equal(t, []string{"RST_STREAM 1 8"}, s.runtime.got())
	})
}

func TestLimitsOnWhatIsHeld(t *testing.T) {
	limits := Limits{Stream: 50_000, Connection: 80_000 + 7*perCall, Total: 100_000 + 8*perCall}
	inBubble(t, Options{Limits: limits}, func(s *setup) {
		body := bytes.Repeat([]byte("x"), 10_000)
		for id := uint32(1); id < 15; id += 2 {
			s.client.call(id, create)
			s.client.data(id, true, prefixed(body))
		}
		var waiting []question
		for range 7 {
			waiting = append(waiting, s.asked())
		}
		s.client.call(15, create)
		s.client.data(15, true, prefixed(body))
		require.Contains(t, strings.Join(s.client.got(), " "), "grpc-status=8 grpc-message=portcullis: too many large requests")

		other := s.join()
		synctest.Wait()
		other.call(1, create)
		other.data(1, true, prefixed(body))
		waiting = append(waiting, s.asked())
		other.call(3, create)
		other.send(3, prefixed(bytes.Repeat([]byte("x"), 30_000)))
		require.Contains(t, strings.Join(other.got(), " "), "too many large requests", "the limit for all")
		other.call(5, create)
		other.data(5, false, prefixed(bytes.Repeat([]byte("x"), 50_001))[:10])
		require.Contains(t, strings.Join(other.got(), " "), "50001 bytes and 50000 are allowed")

		for _, q := range waiting {
			q.answer <- errNo
		}
		synctest.Wait()
		require.Zero(t, s.relay.held.Load())
		require.Equal(t, int64(initialWindow), s.client.connectionWindow())
	})
}

func TestGuardedCallsThatSendNothingAreLimitedToo(t *testing.T) {
	inBubble(t, Options{Limits: Limits{Connection: 3*perCall + 100}}, func(s *setup) {
		for id := uint32(1); id < 9; id += 2 {
			s.client.call(id, create)
		}
		require.Equal(t, []string{"HEADERS 7 grpc-status=8 grpc-message=portcullis: too many large requests wait for a decision; try again end", "RST_STREAM 7 0"}, s.client.got())
		_ = s.client.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		s.client.call(9, create)
		s.client.data(9, true, prefixed([]byte("image")))
		s.asked().answer <- nil
	})
}

func TestMessagesThatAreTooManyToBeObservedPassUnobserved(t *testing.T) {
	inBubble(t, Options{Limits: Limits{Connection: 20_000}}, func(s *setup) {
		for id := uint32(1); id < 7; id += 2 {
			s.client.call(id, pull)
			s.client.data(id, true, prefixed(bytes.Repeat([]byte("x"), 6_000)))
		}
		s.runtime.got()
		s.runtime.ok(1, bytes.Repeat([]byte("y"), 6_000)) // more than there is room for
		require.Equal(t, []string{"HEADERS 1", "DATA 1 6005", "HEADERS 1 grpc-status=0 grpc-message= end"}, s.client.got())
		require.Empty(t, s.judge.observed)
		s.runtime.ok(3, []byte("y"))
		synctest.Wait()
		require.Len(t, s.judge.observed, 1)
		_ = s.client.framer.WriteRSTStream(5, http2.ErrCodeCancel)
		synctest.Wait()
		require.Zero(t, s.relay.held.Load())
	})
}

func TestClientThatGivesUpWhileItIsDecided(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.judge.deaf = true
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		q := s.asked()
		s.runtime.got()
		_ = s.client.framer.WriteRSTStream(1, http2.ErrCodeCancel)
		require.Equal(t, []string{"RST_STREAM 1 8"}, s.runtime.got())
		require.Error(t, q.ctx.Err())
		q.answer <- nil
		require.Empty(t, s.runtime.got(), "the runtime must not see it after all")
		require.Equal(t, []wire.Call{{Method: create, Code: codes.Canceled, Guarded: true}}, s.reported())
		require.Equal(t, int64(initialWindow), s.client.connectionWindow())
	})
}

func TestDeadlineThatPassesWhileItIsDecided(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.judge.deaf = true
		s.client.call(1, create, "grpc-timeout", "500m")
		s.client.data(1, true, prefixed([]byte("image")))
		q := s.asked()
		s.runtime.got()
		deadline, ok := q.ctx.Deadline()
		require.True(t, ok)
		require.Equal(t, 500*time.Millisecond, time.Until(deadline))
		pass(time.Second)
		require.ErrorIs(t, q.ctx.Err(), context.DeadlineExceeded)
		q.answer <- nil
		require.Equal(t, []string{"RST_STREAM 1 8"}, s.runtime.got())
		require.Contains(t, s.client.got()[0], "grpc-status=4")
	})
}

func TestClientThatHangsUpWhileItIsDecided(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.judge.deaf = true
		s.client.call(1, create)
		s.client.data(1, true, prefixed([]byte("image")))
		q := s.asked()
		s.client.conn.Close()
		synctest.Wait()
		require.Error(t, q.ctx.Err())
		q.answer <- nil
		pass(2 * linger)
		require.Error(t, s.runtime.over())
		require.Equal(t, []string{"HEADERS 1 :path=" + create}, s.runtime.got())
		require.Equal(t, []wire.Call{{Method: create, Code: codes.Canceled, Guarded: true}}, s.reported())
		require.Zero(t, s.relay.held.Load())
	})
}

func TestRuntimeThatEndsACallWhileItIsDecided(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*peer)
		want []string // at the client
		code codes.Code
	}{
		"reset":       {func(r *peer) { _ = r.framer.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, []string{"RST_STREAM 1 7"}, codes.Unavailable},
		"answered":    {func(r *peer) { r.open(1, true, ":status", "200", "grpc-status", "12") }, []string{"HEADERS 1 grpc-status=12 end"}, codes.Unimplemented},
		"passed over": {func(r *peer) { _ = r.framer.WriteGoAway(0, http2.ErrCodeNo, nil) }, []string{"GOAWAY 0 last 0 NO_ERROR"}, codes.Unavailable},
	} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprint(name, whole), func(t *testing.T) {
				inBubble(t, Options{}, func(s *setup) {
					s.judge.deaf = true
					s.client.call(1, create)
					s.client.data(1, whole, prefixed([]byte("image")))
					synctest.Wait()
					s.runtime.got()
					c.end(s.runtime)
					require.Equal(t, append(c.want, "WINDOW_UPDATE 0 10"), s.client.got())
					if whole {
						q := s.asked()
						require.Error(t, q.ctx.Err())
						q.answer <- nil
					} else {
						s.client.data(1, true, nil)
					}
					for _, f := range s.runtime.take() {
						require.NotEqual(t, http2.FrameData, f.Type)
					}
					require.Equal(t, []wire.Call{{Method: create, Code: c.code, Guarded: true}}, s.reported())
				})
			})
		}
	}
}

func TestRefusalAfterTheRuntimesHeadersIsTrailers(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, create)
		synctest.Wait()
		s.runtime.open(1, false, ":status", "200", "content-type", "application/grpc")
		s.client.data(1, true, prefixed([]byte("image")))
		s.asked().answer <- errNo
		frames := s.client.take()
		require.Equal(t, "HEADERS 1", frames[0].String())
		require.Equal(t, "grpc-status", frames[1].fields[0].Name)
	})
}

func TestErrorThatIsNoStatusRefuses(t *testing.T) {
	for want, err := range map[string]error{
		"grpc-status=2 grpc-message=broken":                    errors.New("broken"),
		"grpc-status=4 grpc-message=context deadline exceeded": context.DeadlineExceeded,
	} {
		inBubble(t, Options{}, func(s *setup) {
			s.client.call(1, create)
			s.client.data(1, true, prefixed([]byte("image")))
			s.asked().answer <- err
			require.Contains(t, s.client.got()[0], want)
		})
	}
}

func TestObservedCallPassesAtOnceAndIsShown(t *testing.T) {
	inBubble(t, Options{}, func(s *setup) {
		s.client.call(1, pull)
		s.client.data(1, false, prefixed([]byte("busybox"))[:6])
		s.client.data(1, true, prefixed([]byte("busybox"))[6:])
		require.Equal(t, []string{"HEADERS 1 :path=" + pull, "DATA 1 6", "DATA 1 6 end"}, s.runtime.got())
		s.runtime.ok(1, []byte("sha256:1"))
		require.Len(t, s.client.got(), 3)
		require.Equal(t, []string{"busybox → sha256:1"}, s.judge.observed)
	})
}
