package store_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// benchmarkEvents runs a benchmark on both databases; each has as many events as PORTCULLIS_BENCH_EVENTS
// says (default 20,000).
func benchmarkEvents(b *testing.B, run func(b *testing.B, s *store.Store, load *storetest.EventLoad)) {
	events := 20_000
	if text := os.Getenv("PORTCULLIS_BENCH_EVENTS"); text != "" {
		var err error
		events, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	for name, url := range map[string]func(testing.TB) string{
		"SQLite":     func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "central.db") },
		"PostgreSQL": storetest.Postgres,
	} {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(ctx, store.Options{URL: url(b), Log: logrus.New()})
			require.NoError(b, err)
			defer func() { require.NoError(b, s.Close()) }()
			load := storetest.NewEventLoad(time.Now(), 1)
			began := time.Now()
			require.NoError(b, storetest.LoadEvents(ctx, s, load, events, func(int) {}))
			b.Logf("%d events in %s", events, time.Since(began).Round(time.Second))
			run(b, s, load)
		})
	}
}

// BenchmarkEvents measures, at one size, what a page of events costs and how fast decisions are counted.
func BenchmarkEvents(b *testing.B) {
	benchmarkEvents(b, func(b *testing.B, s *store.Store, load *storetest.EventLoad) {
		for name, f := range map[string]store.EventFilter{
			"all": {}, "policy": {Policies: []string{"policy-3"}}, "blocked": {Actions: []int{2}}, "namespace": {Namespaces: []string{"team-150"}},
			"node": {Nodes: []string{"worker-0007"}}, "image": {Image: "app-199"}, "finding": {Finding: "CVE-2025-00031"},
			"address": {Address: "10.0.0.7"}, "week": {From: time.Now().Add(-7 * 24 * time.Hour)},
			"policy and namespace": {Policies: []string{"policy-3"}, Namespaces: []string{"team-1"}}, "pod": {Pod: "app-1999-"},
		} {
			for _, order := range []store.EventOrder{{}, {ByCount: true}} {
				b.Run("list "+name+map[bool]string{true: " by count"}[order.ByCount], func(b *testing.B) {
					for b.Loop() {
						require.NoError(b, s.Read(ctx, func(tx *store.Tx) error {
							_, _, err := tx.Events(ctx, f, order, nil, 50, 10_000)
							return err
						}))
					}
				})
			}
		}
		b.Run("overview", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, s.Read(ctx, func(tx *store.Tx) error {
					_, _, err := tx.Trend(ctx, time.Now().Add(-7*24*time.Hour))
					return err
				}))
			}
		})
		benchmarkIngest(b, s, load)
	})
}

func benchmarkIngest(b *testing.B, s *store.Store, load *storetest.EventLoad) {
	var known []store.Batch
	ingest := func(b *testing.B, next func(i int) store.Batch) {
		decisions := 0
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			batches := []store.Batch{next(i), next(i + 1), next(i + 2), next(i + 3)}
			b.StartTimer()
			_, err := s.AddDecisions(ctx, time.Now(), batches)
			require.NoError(b, err)
			decisions += 4000
		}
		b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
	}
	b.Run("distinct", func(b *testing.B) {
		ingest(b, func(int) store.Batch {
			known = append(known, load.Distinct(1000))
			return known[len(known)-1]
		})
	})
	b.Run("repeated", func(b *testing.B) {
		ingest(b, func(i int) store.Batch { return load.Again(known[i%len(known)]) })
	})
}
