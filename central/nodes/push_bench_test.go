package nodes_test

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/nodes/nodestest"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// BenchmarkPush is the time from a new bundle of 50 KiB to the last of 1,000 nodes, over TLS, with both ends in one
// process.
func BenchmarkPush(b *testing.B) {
	const nodes = 1_000
	c := nodestest.New(b, storetest.SQLite(b))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	streams := make([]*nodestest.Stream, nodes)
	var tasks sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range nodes {
		slots <- struct{}{}
		tasks.Go(func() { streams[i] = member(b, c, i).Open(b, &portcullisv1.SyncRequest{}); <-slots })
	}
	tasks.Wait()
	number := int64(0)
	push := func() (all []time.Duration) {
		number++
		began := time.Now()
		c.Bundles.Publish(b, c.Store, number, strings.Repeat("x", 50<<10))
		for _, s := range streams {
			all = append(all, s.Await(b, number).Sub(began))
		}
		slices.Sort(all)
		return all
	}
	push() // all streams are open
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		all := push()
		b.ReportMetric(float64(all[len(all)*99/100].Milliseconds()), "p99-ms")
		b.ReportMetric(float64(all[len(all)-1].Milliseconds()), "last-ms")
	}
	b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/nodes/1024, "KiB/node")
}

// member is a node that joined, without the join.
func member(t testing.TB, c *nodestest.Central, i int) *nodestest.Node {
	id := store.NewID()
	key, request := nodestest.Request(t)
	certificate, err := c.PKI.Issue(request, id)
	require.NoError(t, err)
	require.NoError(t, c.Store.Tx(ctx, func(tx *store.Tx) error {
		return tx.CreateNode(ctx, store.Node{ID: id, Name: fmt.Sprintf("node-%d", i), JoinTime: c.Clock.Now()})
	}))
	return c.Node(id, fmt.Sprintf("node-%d", i), tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key})
}
