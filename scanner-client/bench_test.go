package scanner_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
)

func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// filled returns a cache that was asked for count images, and the memory that it takes.
func filled(t testing.TB, f scannertest.Fleet, count int, options scanner.CacheOptions) (cache *scanner.Cache, bytes int) {
	before := heap()
	cache = newCache(t, f, options)
	for n := range count {
		_, err := cache.Verdict(t.Context(), scannertest.ImageID(n))
		require.NoError(t, err)
	}
	return cache, heap() - before
}

// The bar: 10,000 verdicts of 200 findings in 40 MiB, all of them kept.
func BenchmarkMemoryOf10000Verdicts(b *testing.B) {
	for _, own := range []int{0, 10, 200} {
		b.Run(fmt.Sprintf("own=%d", own), func(b *testing.B) {
			for b.Loop() {
				cache, bytes := filled(b, scannertest.Fleet{Own: own}, 10_000, scanner.CacheOptions{Images: namer{}})
				stats := cache.Stats()
				b.ReportMetric(float64(bytes)/(1<<20), "MiB")
				b.ReportMetric(float64(stats.Bytes)/(1<<20), "estimated-MiB")
				b.ReportMetric(float64(stats.Size), "verdicts")
				b.ReportMetric(float64(stats.Findings), "distinct-findings")
			}
		})
	}
}

// namer gives every image a tag and a digest.
type namer struct{}

func (namer) Image(_ context.Context, id string) (scanner.Image, error) {
	var n int
	_, err := fmt.Sscanf(id, "sha256:%x", &n)
	return scannertest.Image(n), err
}

func TestTheEstimateOfMemoryIsNotTooLow(t *testing.T) {
	for _, own := range []int{0, 200} {
		cache, bytes := filled(t, scannertest.Fleet{Own: own}, 300, scanner.CacheOptions{Open: 1, Images: namer{}})
		require.Less(t, float64(bytes), 1.25*float64(cache.Stats().Bytes)+1<<20, "own=%d", own)
	}
}

// The bar: under 500 ns, no allocation.
func BenchmarkCacheHit(b *testing.B) {
	cache, _ := filled(b, scannertest.Fleet{Own: 10}, 40, scanner.CacheOptions{})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := cache.Verdict(b.Context(), ids[n%40]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheHitInParallel(b *testing.B) {
	cache, _ := filled(b, scannertest.Fleet{Own: 10}, 40, scanner.CacheOptions{})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for n := 0; p.Next(); n++ {
			if _, err := cache.Verdict(b.Context(), ids[n%40]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A hit whose verdict has to be unpacked first.
func BenchmarkCacheHitPacked(b *testing.B) {
	cache, _ := filled(b, scannertest.Fleet{Own: 10}, 40, scanner.CacheOptions{Open: 1})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := cache.Verdict(b.Context(), ids[n%40]); err != nil {
			b.Fatal(err)
		}
	}
}

var ids = func() (ids [40]string) {
	for n := range ids {
		ids[n] = scannertest.ImageID(n)
	}
	return ids
}()

func BenchmarkSnapshotOf10000Verdicts(b *testing.B) {
	cache, _ := filled(b, scannertest.Fleet{Own: 10}, 10_000, scanner.CacheOptions{})
	path := b.TempDir() + "/verdicts"
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, cache.Save(path))
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			restored := newCache(b, scannertest.Fleet{}, scanner.CacheOptions{})
			_, err := restored.Restore(path)
			require.NoError(b, err)
		}
	})
}

func TestABenchmarkedCacheHitAllocatesNothing(t *testing.T) {
	cache, _ := filled(t, scannertest.Fleet{Own: 10}, 40, scanner.CacheOptions{})
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = cache.Verdict(t.Context(), ids[7]) }))
}
