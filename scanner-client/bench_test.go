package scanner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

// fleet is a source of images as clusters hold them: 60 base images with 120 findings each, in front of
// them 400 application stacks with 70, and 10 findings that no other image has. own is how many of the
// latter.
type fleet struct{ own int }

func (f fleet) Verdict(_ context.Context, image scanner.Image) (*verdict.Verdict, error) {
	var n int
	if _, err := fmt.Sscanf(image.ID, "sha256:%x", &n); err != nil {
		return nil, err
	}
	v := scannertest.Verdict(n, 1)
	add := func(stack string, seed, count int) {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		for range count {
			v.Vulnerabilities = append(v.Vulnerabilities, vulnerability(stack, r))
		}
	}
	shared := 190 - f.own + 10
	add("base", n%60, shared*12/19)
	add("stack", 1000+n%400, shared-shared*12/19)
	add(fmt.Sprintf("own-%d", n), 100_000+n, f.own)
	return v, nil
}

func vulnerability(stack string, r *rand.Rand) verdict.Vulnerability {
	id := 10_000 + r.IntN(40_000)
	return verdict.Vulnerability{
		ID: fmt.Sprintf("CVE-20%d-%d", 15+r.IntN(11), id), Severity: verdict.Severity(1 + r.IntN(5)),
		Aliases: []string{fmt.Sprintf("GHSA-%04x-%04x-%04x", r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16))},
		Package: fmt.Sprintf("lib%s-%d", stack, r.IntN(500)), Version: fmt.Sprintf("%d.%d.%d-1ubuntu0.%d", r.IntN(9), r.IntN(30), r.IntN(9), r.IntN(9)),
		FixedVersion: fmt.Sprintf("%d.%d.%d-1ubuntu0.%d", r.IntN(9), r.IntN(30), r.IntN(9), r.IntN(9)),
		Type:         "deb", CWEs: []int{r.IntN(1400)}, Labels: []string{"fixable", "network", "os-package"},
		PublishedAt: time.Unix(1_500_000_000+int64(id)*3600, 0).UTC(),
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// filled returns a cache that was asked for count images, and the memory that it takes.
func filled(t testing.TB, f fleet, count int, options scanner.CacheOptions) (cache *scanner.Cache, bytes int) {
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
				cache, bytes := filled(b, fleet{own}, 10_000, scanner.CacheOptions{Images: namer{}})
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
		cache, bytes := filled(t, fleet{own}, 300, scanner.CacheOptions{Open: 1, Images: namer{}})
		require.Less(t, float64(bytes), 1.25*float64(cache.Stats().Bytes)+1<<20, "own=%d", own)
	}
}

// The bar: under 500 ns, no allocation.
func BenchmarkCacheHit(b *testing.B) {
	cache, _ := filled(b, fleet{10}, 40, scanner.CacheOptions{})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := cache.Verdict(b.Context(), ids[n%40]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheHitInParallel(b *testing.B) {
	cache, _ := filled(b, fleet{10}, 40, scanner.CacheOptions{})
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
	cache, _ := filled(b, fleet{10}, 40, scanner.CacheOptions{Open: 1})
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
	cache, _ := filled(b, fleet{10}, 10_000, scanner.CacheOptions{})
	path := b.TempDir() + "/verdicts"
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, cache.Save(path))
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			restored := newCache(b, fleet{}, scanner.CacheOptions{})
			_, err := restored.Restore(path)
			require.NoError(b, err)
		}
	})
}

func TestABenchmarkedCacheHitAllocatesNothing(t *testing.T) {
	cache, _ := filled(t, fleet{10}, 40, scanner.CacheOptions{})
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = cache.Verdict(t.Context(), ids[7]) }))
}
