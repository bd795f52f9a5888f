package nodes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/nodes/nodestest"
	"portcullis/central/store/storetest"
)

func TestABundleArrivesCompressedAndWhole(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	documents := func(i int64) string { return strings.Repeat(fmt.Sprintf("policy of bundle %d\n", i), 5_000) }
	c.Bundles.Publish(t, c.Store, 1, documents(1))
	require.Eventually(t, func() bool { return c.Sync.NewestNumber() == 1 }, 30*time.Second, 10*time.Millisecond)
	for _, node := range []*nodestest.Node{c.Join("a"), c.Join("b")} {
		stream, err := node.Sync(ctx, &portcullisv1.SyncRequest{})
		require.NoError(t, err)
		for i := int64(1); i <= 2; {
			require.True(t, stream.Receive(), stream.Err())
			b := stream.Msg().GetBundle()
			if b == nil || b.GetNumber() < i {
				continue // a heartbeat, or what the node before has published is here already
			}
			require.Equal(t, documents(b.GetNumber()), b.GetDocuments())
			require.Equal(t, "gzip", stream.ResponseHeader().Get("Grpc-Encoding"))
			if i = b.GetNumber() + 1; i == 2 {
				c.Bundles.Publish(t, c.Store, 2, documents(2))
			}
		}
		require.NoError(t, stream.Close())
	}
}
