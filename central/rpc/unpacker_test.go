package rpc_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/central/rpc"
)

func packed(t *testing.T, plain []byte) io.Reader {
	t.Helper()
	var into bytes.Buffer
	writer := gzip.NewWriter(&into)
	_, err := writer.Write(plain)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return &into
}

func TestABombIsNotUnpackedToItsEnd(t *testing.T) {
	unpacker := rpc.Unpacker(1000)()
	for range 2 { // it is used again
		require.NoError(t, unpacker.Reset(packed(t, make([]byte, 1<<20))))
		plain, err := io.ReadAll(unpacker)
		require.ErrorContains(t, err, "it unpacks to too much")
		require.Len(t, plain, 1001, "one more than is taken, by which connect knows")

		require.NoError(t, unpacker.Reset(packed(t, make([]byte, 1000))))
		plain, err = io.ReadAll(unpacker)
		require.NoError(t, err)
		require.Len(t, plain, 1000)
	}
}
