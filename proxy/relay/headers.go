package relay

import (
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxBlock bounds an encoded header block, maxHeaderList what it decodes to: a byte can stand for
	// kilobytes. grpc-go takes 16 MiB of the latter.
	maxBlock      = 1 << 20
	maxHeaderList = 16 << 20

	initialTable = 4096
	// maxTable bounds the decoder's table, whatever the ends agree on between them.
	maxTable = 1 << 20
)

// block is what one header block says that matters here.
type block struct {
	frame  frame  // the frame that is all of the block, unless it came in several
	raw    []byte // the frames of a block that came in several
	stream uint32
	ended  bool // the sender's last word on the stream

	path       string
	paths      int
	pseudo     bool // it opens a request or a response; without, it is trailers
	httpStatus string
	grpcStatus string
	timeout    string
	size       int
	fields     bool // a field that is no pseudo-header has been seen
	misplaced  bool // a pseudo-header after one
}

// headers follows the header blocks of one direction. Every block must go through it, because each
// can change how the next is decoded.
type headers struct {
	decoder *hpack.Decoder
	block   block
}

func newHeaders() *headers {
	h := &headers{}
	h.decoder = hpack.NewDecoder(initialTable, h.field)
	h.decoder.SetMaxStringLength(maxHeaderList)
	return h
}

// allow says that the receiver of the blocks has offered a table of that size.
func (h *headers) allow(table uint32) {
	if table > initialTable {
		h.decoder.SetAllowedMaxDynamicTableSize(min(table, maxTable))
	}
}

// add takes a HEADERS or CONTINUATION frame and returns the block once it is whole. The source makes
// sure that nothing comes between the frames of a block.
func (h *headers) add(f frame) (b block, whole bool, err error) {
	var fragment []byte
	switch parsed := f.parsed.(type) {
	case *http2.HeadersFrame:
		h.block = block{frame: f, stream: f.StreamID, ended: parsed.StreamEnded()}
		fragment, whole = parsed.HeaderBlockFragment(), parsed.HeadersEnded()
	case *http2.ContinuationFrame:
		fragment, whole = parsed.HeaderBlockFragment(), parsed.HeadersEnded()
	}
	if !whole || f.Type == http2.FrameContinuation {
		h.block.raw = append(h.block.raw, f.raw...)
	}
	if len(h.block.raw) > maxBlock || len(fragment) > maxBlock {
		return block{}, false, violates(http2.ErrCodeEnhanceYourCalm, "header block of more than %d bytes", maxBlock)
	}
	if _, err := h.decoder.Write(fragment); err != nil {
		return block{}, false, violates(http2.ErrCodeCompression, "header block: %v", err)
	}
	if h.block.size > maxHeaderList {
		return block{}, false, violates(http2.ErrCodeEnhanceYourCalm, "headers of more than %d bytes", maxHeaderList)
	}
	if !whole {
		return block{}, false, nil
	}
	if err := h.decoder.Close(); err != nil {
		return block{}, false, violates(http2.ErrCodeCompression, "header block: %v", err)
	}
	if h.block.misplaced {
		return block{}, false, violates(http2.ErrCodeProtocol, "pseudo-header after other headers")
	}
	return h.block, true, nil
}

func (h *headers) field(f hpack.HeaderField) {
	b := &h.block
	b.size += int(f.Size())
	if !strings.HasPrefix(f.Name, ":") {
		b.fields = true
		switch f.Name {
		case "grpc-status":
			b.grpcStatus = f.Value
		case "grpc-timeout":
			b.timeout = f.Value
		}
		return
	}
	b.pseudo = true
	b.misplaced = b.misplaced || b.fields
	switch f.Name {
	case ":path":
		b.path = f.Value
		b.paths++
	case ":status":
		b.httpStatus = f.Value
	}
}
