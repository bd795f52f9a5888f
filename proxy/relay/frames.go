package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
)

const (
	frameHeaderLen = 9
	// minFrameSize is the largest payload that every HTTP/2 end takes before it has said more.
	minFrameSize = 16 << 10
	bufferSize   = 64 << 10
)

// violation is something in the bytes that HTTP/2 forbids or that we will not carry. It ends the
// connection: an end that we understand otherwise than the runtime does could pass us unseen.
type violation struct {
	code   http2.ErrCode
	reason string
}

func (v violation) Error() string { return v.reason }

func violates(code http2.ErrCode, format string, arguments ...any) error {
	return violation{code, fmt.Sprintf(format, arguments...)}
}

// frame is one whole frame.
type frame struct {
	http2.FrameHeader
	raw    []byte      // as it came, in the source's buffer, whose rest is behind it
	at     int         // where in that buffer raw begins
	parsed http2.Frame // nil for DATA
}

// data is the payload of a DATA frame without its padding.
func (f *frame) data() ([]byte, error) {
	payload := f.raw[frameHeaderLen:]
	if !f.Flags.Has(http2.FlagDataPadded) {
		return payload, nil
	}
	if len(payload) == 0 || len(payload) <= int(payload[0]) {
		return nil, violates(http2.ErrCodeProtocol, "DATA frame with more padding than payload")
	}
	return payload[1 : len(payload)-int(payload[0])], nil
}

// source reads whole frames from one end.
type source struct {
	conn       net.Conn
	buffer     []byte
	start, end int // buffer[start:end] has been received and not been consumed
	need       int // bytes that the frame at start has, when it is known
	maxFrame   uint32
	framer     *http2.Framer
}

func newSource(conn net.Conn) *source {
	s := &source{conn: conn, buffer: make([]byte, bufferSize), maxFrame: minFrameSize}
	s.framer = http2.NewFramer(nil, s)
	return s
}

// Read gives the framer what has been received.
func (s *source) Read(p []byte) (int, error) {
	n := copy(p, s.buffer[s.start:s.end])
	s.start += n
	if n == 0 && len(p) > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// rest reads what has been received and then from the connection itself.
func (s *source) rest() io.Reader {
	return io.MultiReader(bytes.NewReader(s.buffer[s.start:s.end]), s.conn)
}

// next consumes the next frame if all of it has been received. The frame is valid until fill.
func (s *source) next(f *frame) (ok bool, err error) {
	received := s.buffer[s.start:s.end]
	if len(received) < frameHeaderLen {
		s.need = frameHeaderLen
		return false, nil
	}
	length := int(received[0])<<16 | int(received[1])<<8 | int(received[2])
	if length > int(s.maxFrame) {
		return false, violates(http2.ErrCodeFrameSize, "frame of %d bytes where %d are allowed", length, s.maxFrame)
	}
	if received[5]&0x80 != 0 {
		// Ends that ignore the bit and ends that do not would see two different streams.
		return false, violates(http2.ErrCodeProtocol, "frame with the reserved bit of its stream identifier set")
	}
	s.need = frameHeaderLen + length
	if len(received) < s.need {
		return false, nil
	}
	*f = frame{raw: received[:s.need], at: s.start}
	if f.FrameHeader, err = s.framer.ReadFrameHeader(); err != nil {
		return false, s.malformed(err)
	}
	if f.Type == http2.FrameData {
		s.start += length
		if f.StreamID == 0 {
			return false, violates(http2.ErrCodeProtocol, "DATA frame without a stream")
		}
		return true, nil
	}
	if f.parsed, err = s.framer.ReadFrameForHeader(f.FrameHeader); err != nil {
		return false, s.malformed(err)
	}
	return true, nil
}

func (s *source) malformed(err error) error {
	code := http2.ErrCodeProtocol
	var connection http2.ConnectionError
	var stream http2.StreamError
	switch {
	case errors.As(err, &connection):
		code = http2.ErrCode(connection)
	case errors.As(err, &stream):
		code = stream.Code
	}
	if detail := s.framer.ErrorDetail(); detail != nil {
		err = detail
	}
	return violates(code, "malformed frame: %v", err)
}

// fill waits for more. It may move what next returned.
func (s *source) fill() error {
	received := s.buffer[s.start:s.end]
	switch {
	case s.need > len(s.buffer):
		s.buffer = make([]byte, s.need)
	case len(s.buffer) > bufferSize && s.need <= bufferSize && len(received) <= bufferSize:
		s.buffer = make([]byte, bufferSize) // one large frame must not cost memory for ever
	}
	s.end = copy(s.buffer, received)
	s.start = 0
	n, err := s.conn.Read(s.buffer[s.end:])
	s.end += n
	if n > 0 {
		return nil // an error comes again with the next read
	}
	return err
}

// preface waits for and consumes the text with which every HTTP/2 client begins.
func (s *source) preface() error {
	for s.end-s.start < len(http2.ClientPreface) {
		if err := s.fill(); err != nil {
			return err
		}
	}
	if string(s.buffer[s.start:s.start+len(http2.ClientPreface)]) != http2.ClientPreface {
		return violates(http2.ErrCodeProtocol, "not an HTTP/2 client")
	}
	s.start += len(http2.ClientPreface)
	return nil
}

// settings waits for the SETTINGS frame that every end begins with, and does not consume it.
func (s *source) settings() error {
	for {
		if received := s.buffer[s.start:s.end]; len(received) >= frameHeaderLen {
			length := int(received[0])<<16 | int(received[1])<<8 | int(received[2])
			if http2.FrameType(received[3]) != http2.FrameSettings || http2.Flags(received[4]).Has(http2.FlagSettingsAck) || length > minFrameSize {
				return violates(http2.ErrCodeProtocol, "does not begin with its settings")
			}
			if len(received) >= frameHeaderLen+length {
				return nil
			}
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}
