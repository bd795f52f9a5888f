package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that a zstd stream may ask for; zstd --long=27 needs this much.
const maxWindow = 128 << 20

// source is a stored layer that stops when its context does, and counts.
type source struct {
	io.Reader
	ctx  context.Context
	read func(bytes int)
}

func (s *source) Read(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	n, err := s.Reader.Read(p)
	if s.read != nil {
		s.read(n)
	}
	return n, err
}

// decompress goes by the content: media types lie, and archives of docker save have none.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 256<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(buffered)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		decoder, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return decoder.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// layerReader checks at its end that what was read is what the config names.
type layerReader struct {
	ctx     context.Context
	archive io.ReadCloser
	stored  io.Closer
	sum     hash.Hash
	diffID  v1.Hash
}

func (r *layerReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil { // a stored byte can be a thousand read ones
		return 0, err
	}
	n, err := r.archive.Read(p)
	r.sum.Write(p[:n])
	switch {
	case err == io.EOF && fmt.Sprintf("%x", r.sum.Sum(nil)) != r.diffID.Hex:
		return n, fmt.Errorf("layer %s: %w", r.diffID, errDamagedLayer)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("layer %s: %w", r.diffID, err)
	}
	return n, err
}

func (r *layerReader) Close() error {
	return errors.Join(r.archive.Close(), r.stored.Close())
}
