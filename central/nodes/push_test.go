package nodes_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/nodes/nodestest"
	"portcullis/central/store/storetest"
)

// made is what a node that holds old makes of an edit.
func made(old string, edit *portcullisv1.BundleEdit) string {
	return old[:edit.GetFirst()] + string(edit.GetText()) + old[int64(len(old))-edit.GetLast():]
}

// next is the next message about a bundle.
func next(t *testing.T, stream *connect.ServerStreamForClient[portcullisv1.SyncResponse]) *portcullisv1.SyncResponse {
	t.Helper()
	for stream.Receive() {
		if m := stream.Msg(); m.GetBundle() != nil || m.GetEdit() != nil {
			return m
		}
	}
	t.Fatal(stream.Err())
	return nil
}

func TestAChangeOfABundleArrivesAsAnEdit(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	rest := strings.Repeat("other policies\n", 1000)
	stream, err := c.Join("a").Sync(ctx, &portcullisv1.SyncRequest{Edits: true})
	require.NoError(t, err)
	holds := ""
	for i, change := range []struct {
		documents string
		most      int // bytes of the edit
	}{
		{"策略 one\n" + rest, -1}, // the first comes whole
		{"策畧 one\n" + rest, 10}, // one character is another, whose first bytes are the same
		{"策畧 one\n" + rest + "more\n", 5},
		{rest + "more\n", 0},
		{rest + rest + "more\n", len(rest)},
		{strings.Repeat("a policy that is quite another\n", 1000), -1}, // would be no smaller
		{"", 0},
		{rest, -1},
		{rest[:len(rest)/2] + strings.Repeat("a new policy\n", 200) + rest[len(rest)/2:], 2700}, // large enough to be compressed
	} {
		c.Bundles.Publish(t, c.Store, int64(i+1), change.documents)
		m := next(t, stream)
		if edit := m.GetEdit(); edit != nil {
			require.LessOrEqual(t, len(edit.GetText()), change.most, i)
			require.Equal(t, []string{sum(holds), sum(change.documents)}, []string{edit.GetFromSha256(), edit.GetSha256()}, i)
			require.EqualValues(t, i+1, edit.GetNumber())
			holds = made(holds, edit)
		} else {
			require.Equal(t, -1, change.most, i)
			holds = m.GetBundle().GetDocuments()
		}
		require.Equal(t, change.documents, holds, i)
		require.Equal(t, 2*time.Millisecond, m.GetReportWithin().AsDuration(), "one node, of 500 a second")
	}
	require.NoError(t, stream.Close())
}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func TestWhoHoldsAnOldBundleGetsAnEditAndWhoHoldsAnotherGetsTheWhole(t *testing.T) {
	c := nodestest.New(t, storetest.SQLite(t))
	documents := func(i int64) string { return fmt.Sprintf("policy %d\n", i) + strings.Repeat("other policies\n", 100) }
	const newest = 12
	for i := range int64(newest) {
		c.Bundles.Publish(t, c.Store, i+1, documents(i+1))
		require.Eventually(t, func() bool { return c.Sync.NewestNumber() == i+1 }, 30*time.Second, time.Millisecond)
	}
	node := c.Join("a")
	for name, n := range map[string]struct {
		request *portcullisv1.SyncRequest
		edit    bool
	}{
		"the one before":                   {&portcullisv1.SyncRequest{Bundle: 11, BundleSha256: sum(documents(11)), Edits: true}, true},
		"the eighth before":                {&portcullisv1.SyncRequest{Bundle: 4, BundleSha256: sum(documents(4)), Edits: true}, true},
		"the ninth before":                 {&portcullisv1.SyncRequest{Bundle: 3, BundleSha256: sum(documents(3)), Edits: true}, false},
		"a node of an older release":       {&portcullisv1.SyncRequest{Bundle: 11, BundleSha256: sum(documents(11))}, false},
		"other documents under the number": {&portcullisv1.SyncRequest{Bundle: 11, BundleSha256: sum("other"), Edits: true}, false},
		"nothing":                          {&portcullisv1.SyncRequest{Edits: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := node.Sync(ctx, n.request)
			require.NoError(t, err)
			m := next(t, stream)
			if n.edit {
				require.Equal(t, documents(newest), made(documents(n.request.GetBundle()), m.GetEdit()))
			} else {
				require.Equal(t, documents(newest), m.GetBundle().GetDocuments())
			}
			require.NoError(t, stream.Close())
		})
	}
}

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
