package nodes

import (
	"bytes"
	"compress/gzip"
	"io"

	"connectrpc.com/connect"

	"portcullis/central/rpc"
)

// compressedFrom is the size of a message, in bytes, that is worth compressing.
const compressedFrom = 1 << 10

// Compression is how the service's handler compresses, and unpacks messages of most bytes: it knows what it says of the
// newest bundle in compressed form.
func (s *Sync) Compression(most int) connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCompression("gzip",
			rpc.Unpacker(most),
			func() connect.Compressor { return &compressor{hub: &s.hub, gzip: gzip.NewWriter(io.Discard)} },
		),
		connect.WithCompressMinBytes(compressedFrom),
	)
}

// compressor is gzip, but for what many nodes are sent of the newest bundle, which is compressed already.
type compressor struct {
	hub  *hub
	to   io.Writer
	gzip *gzip.Writer
	some bool // something has been written to gzip
}

// Reset begins anew.
func (c *compressor) Reset(to io.Writer) { c.to, c.some = to, false }

// Write compresses. A message comes as a whole.
func (c *compressor) Write(plain []byte) (int, error) {
	if newest := c.hub.bundle.Load(); !c.some && newest != nil {
		if gzipped := newest.gzipped(plain); gzipped != nil {
			_, err := c.to.Write(gzipped)
			return len(plain), err
		}
	}
	if !c.some {
		c.gzip.Reset(c.to)
		c.some = true
	}
	return c.gzip.Write(plain)
}

// Close writes what is left.
func (c *compressor) Close() error {
	if !c.some {
		return nil
	}
	return c.gzip.Close()
}

func compressed(plain []byte) ([]byte, error) {
	var into bytes.Buffer
	writer := gzip.NewWriter(&into)
	if _, err := writer.Write(plain); err != nil {
		return nil, err
	}
	err := writer.Close()
	return into.Bytes(), err
}
