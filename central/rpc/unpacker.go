package rpc

import (
	"compress/gzip"
	"errors"
	"io"

	"connectrpc.com/connect"
)

var errUnpacked = errors.New("it unpacks to too much")

// Unpacker makes readers of gzip that give up where a message is larger than most bytes. Connect refuses it, too, but
// unpacks the rest to say how large it was, and a few megabytes can be gigabytes.
func Unpacker(most int) func() connect.Decompressor {
	return func() connect.Decompressor { return &unpacker{most: int64(most)} }
}

type unpacker struct {
	gzip.Reader
	most, left int64
}

// Reset begins a message.
func (u *unpacker) Reset(packed io.Reader) error {
	u.left = u.most + 1 // connect reads one more than it takes
	return u.Reader.Reset(packed)
}

func (u *unpacker) Read(p []byte) (int, error) {
	if u.left == 0 {
		return 0, errUnpacked
	}
	n, err := u.Reader.Read(p[:min(int64(len(p)), u.left)])
	u.left -= int64(n)
	return n, err
}
