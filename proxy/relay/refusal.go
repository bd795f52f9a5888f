package relay

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// refusal says how a response that the relay makes itself goes to a client.
type refusal struct {
	stream  uint32
	status  *status.Status
	started bool // the runtime's own headers went before: only trailers are left to send
	// table is the size that the client's decoder must be told to shrink to first.
	table setting
	// maxHeaders is the largest header list that the client takes, 0 for any.
	maxHeaders uint32
}

// frames encodes the response. No field is indexed, so that the tables of the runtime's encoder and
// the client's decoder stay the same.
func (r refusal) frames() []byte {
	var fragment buffer
	encoder := hpack.NewEncoder(&fragment)
	if r.table.given {
		encoder.SetMaxDynamicTableSizeLimit(r.table.value)
		encoder.SetMaxDynamicTableSize(r.table.value)
	}
	for _, field := range r.fields() {
		field.Sensitive = true // never indexed
		_ = encoder.WriteField(field)
	}
	return encode(func(f *http2.Framer) {
		first, rest := split(fragment)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: r.stream, BlockFragment: first, EndStream: true, EndHeaders: len(rest) == 0})
		for len(rest) > 0 {
			first, rest = split(rest)
			_ = f.WriteContinuation(r.stream, len(rest) == 0, first)
		}
	})
}

func split(fragment []byte) (first, rest []byte) {
	n := min(len(fragment), minFrameSize)
	return fragment[:n], fragment[n:]
}

func (r refusal) fields() []hpack.HeaderField {
	var fields []hpack.HeaderField
	if !r.started {
		fields = append(fields,
			hpack.HeaderField{Name: ":status", Value: "200"},
			hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
	}
	fields = append(fields, hpack.HeaderField{Name: "grpc-status", Value: strconv.Itoa(int(r.status.Code()))})
	text := hpack.HeaderField{Name: "grpc-message", Value: percentEncode(r.status.Message())}
	room := r.room(append(fields, text))
	if room < 0 {
		text.Value = cut(text.Value, max(0, len(text.Value)+room))
	}
	fields = append(fields, text)
	if s := r.status.Proto(); len(s.GetDetails()) > 0 {
		encoded, err := proto.Marshal(s)
		details := hpack.HeaderField{Name: "grpc-status-details-bin", Value: base64.RawStdEncoding.EncodeToString(encoded)}
		if err == nil && int(details.Size()) <= room {
			fields = append(fields, details)
		}
	}
	return fields
}

// room is how many bytes of headers the client takes beside fields.
func (r refusal) room(fields []hpack.HeaderField) int {
	if r.maxHeaders == 0 {
		return math.MaxInt
	}
	room := int(r.maxHeaders)
	for _, field := range fields {
		room -= int(field.Size())
	}
	return room
}

// cut shortens an encoded text without leaving half of an escape.
func cut(encoded string, n int) string {
	encoded = encoded[:n]
	if escape := strings.LastIndexByte(encoded, '%'); escape >= 0 && len(encoded)-escape < 3 {
		encoded = encoded[:escape]
	}
	return encoded
}

// percentEncode writes a text as gRPC wants it in grpc-message: printable ASCII as it is, and the
// bytes of everything else as %XX.
func percentEncode(text string) string {
	var encoded strings.Builder
	for _, b := range []byte(string([]rune(text))) { // what is not UTF-8 becomes U+FFFD
		if b < ' ' || b > '~' || b == '%' {
			fmt.Fprintf(&encoded, "%%%02X", b)
		} else {
			encoded.WriteByte(b)
		}
	}
	return encoded.String()
}
