package events_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/events"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// BenchmarkIngest measures uploads of 1,000 decisions with evidence by eight nodes at once, of pods that
// were not known and of the same pods again and again, and uploads of 10 by 256 nodes.
func BenchmarkIngest(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	for name, url := range map[string]string{"SQLite": "sqlite:" + filepath.Join(b.TempDir(), "central.db"), "PostgreSQL": storetest.Postgres(b)} {
		s, err := store.Open(ctx, store.Options{URL: url, Log: log})
		require.NoError(b, err)
		service := events.New(s, events.Options{Nodes: nodes{}, Now: time.Now, Log: log, Metrics: prometheus.NewRegistry()})
		for kind, pod := range map[string]func(n int64) string{
			"distinct": func(n int64) string { return fmt.Sprint("pod-", n) }, "repeated": func(n int64) string { return fmt.Sprint("again-", n%1000) },
		} {
			b.Run(name+" "+kind, func(b *testing.B) { benchmarkUploads(b, service, 8, 1000, pod) })
			b.Run(name+" "+kind+" few by many", func(b *testing.B) { benchmarkUploads(b, service, 256, 10, pod) })
		}
		service.Close()
		require.NoError(b, s.Close())
	}
}

func benchmarkUploads(b *testing.B, service *events.Service, nodes, size int, pod func(n int64) string) {
	var uploads, number atomic.Int64
	var uploading sync.WaitGroup
	b.ResetTimer()
	for node := range nodes {
		uploading.Go(func() {
			for uploads.Add(1) <= int64(b.N) {
				r := &portcullisv1.UploadDecisionsRequest{Spool: store.NewID(), Through: int64(size)}
				for range size {
					r.Decisions = append(r.Decisions, &portcullisv1.FoldedDecision{Event: blocked(pod(number.Add(1)), nil)})
				}
				_, err := service.Ingest(context.Background(), fmt.Sprint("n", node), r)
				require.NoError(b, err)
			}
		})
	}
	uploading.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "decisions/s")
}
