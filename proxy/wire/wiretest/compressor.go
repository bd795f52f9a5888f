package wiretest

import (
	"compress/gzip"
	"io"

	"google.golang.org/grpc/encoding"
)

// compressorName is a compression of this package's own, so that the data path under test does not
// know it as it would not know a client's.
const compressorName = "wiretest"

type compressor struct{}

func (compressor) Name() string                                 { return compressorName }
func (compressor) Compress(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
func (compressor) Decompress(r io.Reader) (io.Reader, error)    { return gzip.NewReader(r) }

func init() { encoding.RegisterCompressor(compressor{}) }
