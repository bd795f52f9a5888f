package relay

import (
	"encoding/binary"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const prefixLen = 5 // a flag that says whether the message is compressed, and its length

var (
	errNoMessage  = status.Error(codes.InvalidArgument, "portcullis: the call carries no request message")
	errMore       = status.Error(codes.InvalidArgument, "portcullis: the call carries more than one request message; send one")
	errIncomplete = status.Error(codes.InvalidArgument, "portcullis: the call ends before its request message does")
	errCompressed = status.Error(codes.InvalidArgument, "portcullis: the request message is compressed and cannot be judged; send it uncompressed")
)

// message gathers the only message of one direction of a call.
type message struct {
	data []byte // with its prefix
	max  int    // bytes without prefix
}

// add takes what came next. An error says why it is not one message that can be read.
func (m *message) add(piece []byte) error {
	m.data = append(m.data, piece...)
	if len(m.data) == 0 {
		return nil
	}
	if m.data[0] != 0 {
		return errCompressed
	}
	if len(m.data) < prefixLen {
		return nil
	}
	length := int64(binary.BigEndian.Uint32(m.data[1:]))
	switch {
	case length > int64(m.max):
		return status.Errorf(codes.ResourceExhausted, "portcullis: the request message has %d bytes and %d are allowed", length, m.max)
	case int64(len(m.data)) > prefixLen+length:
		return errMore
	}
	return nil
}

func (m *message) complete() bool {
	return len(m.data) >= prefixLen && len(m.data) == m.size()
}

// size is how many bytes the message has with its prefix, 0 while that has not arrived.
func (m *message) size() int {
	if len(m.data) < prefixLen {
		return 0
	}
	return prefixLen + int(binary.BigEndian.Uint32(m.data[1:]))
}

func (m *message) body() []byte { return m.data[prefixLen:] }

// end says what is wrong with a call that has carried no more than this.
func (m *message) end() error {
	switch {
	case len(m.data) == 0:
		return errNoMessage
	case !m.complete():
		return errIncomplete
	}
	return nil
}
