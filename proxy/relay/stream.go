package relay

import (
	"context"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// stream is one call.
type stream struct {
	id       uint32
	method   string
	began    time.Time
	deadline time.Time // zero for none
	guarded  bool
	endless  bool

	clientEnded bool // the client has said all it will say
	started     bool // the runtime's headers have passed
	reported    bool // the call has its result

	hold     *hold    // what of a guarded request has not gone to the runtime; nil once all has
	request  *message // gathered to be observed; nil when nobody looks
	response *message
	answered func([]byte)
}

// hold is a guarded request on its way to a decision and, if allowed, to the runtime.
type hold struct {
	message message
	window  streamWindow
	ctx     context.Context
	cancel  context.CancelFunc
	sent    int
}

// plain says whether path can be read in one way only. A server that decodes escapes, cuts off a
// query or tidies up slashes would find another method in the others than we do.
func plain(path string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if part == "" || strings.Trim(part, ".") == "" {
			return false
		}
		for _, b := range []byte(part) {
			switch {
			case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '.', b == '_', b == '-':
			default:
				return false
			}
		}
	}
	return true
}

// timeout reads the grpc-timeout header, 0 when there is none that makes sense.
func timeout(header string) time.Duration {
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	if len(header) < 2 || len(header) > 9 {
		return 0
	}
	n, err := strconv.ParseUint(header[:len(header)-1], 10, 32)
	unit := units[header[len(header)-1]]
	if err != nil || unit == 0 {
		return 0
	}
	if time.Duration(n) > 100*365*24*time.Hour/unit {
		return 0
	}
	return time.Duration(n) * unit
}

// result is the gRPC code that a response's last block says.
func (b *block) result() codes.Code {
	if b.grpcStatus == "" {
		return codes.Unknown
	}
	code, err := strconv.ParseUint(b.grpcStatus, 10, 32)
	if err != nil {
		return codes.Unknown
	}
	return codes.Code(code)
}

// resetResult is the gRPC code that a client makes of a stream that the runtime reset.
func resetResult(code http2.ErrCode) codes.Code {
	switch code {
	case http2.ErrCodeCancel:
		return codes.Canceled
	case http2.ErrCodeRefusedStream:
		return codes.Unavailable
	case http2.ErrCodeFlowControl, http2.ErrCodeEnhanceYourCalm:
		return codes.ResourceExhausted
	}
	return codes.Internal
}
