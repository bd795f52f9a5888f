package scanner_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

// saved returns the snapshot of a cache that knows the images 1 and 4, and has nothing on 3.
func saved(t *testing.T, options scanner.CacheOptions) string {
	t.Helper()
	s := scannertest.NewSource(scannertest.Verdict(1, 1, "CVE-2026-0001"), scannertest.Verdict(4, 1))
	cache := newCache(t, s, options)
	for _, n := range []int{1, 3, 4} {
		_, _ = cache.Verdict(t.Context(), scannertest.ImageID(n))
	}
	path := filepath.Join(t.TempDir(), "verdicts")
	require.NoError(t, cache.Save(path))
	return path
}

func TestARestartBeginsWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saved(t, scanner.CacheOptions{Images: &images{}})
		s := scannertest.NewSource()
		cache := newCache(t, s, scanner.CacheOptions{})
		n, err := cache.Restore(path)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		v, err := cache.Verdict(t.Context(), scannertest.ImageID(1))
		require.NoError(t, err)
		require.Equal(t, scannertest.Verdict(1, 1, "CVE-2026-0001"), v)
		require.Zero(t, s.Asked(scannertest.ImageID(1)))
		require.Equal(t, []string{scannertest.ImageID(1)}, cache.ForgetWhere(func(i scanner.Image) bool { return i.Tags[0] == scannertest.Image(1).Tags[0] }), "names are kept too")
		_, err = cache.Verdict(t.Context(), scannertest.ImageID(3))
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		require.Equal(t, 1, s.Asked(scannertest.ImageID(3)), "unscanned is asked again")
	})
}

func TestTimeGoesOnWhileTheNodeIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saved(t, scanner.CacheOptions{TTL: time.Hour})
		time.Sleep(59 * time.Minute) //nolint:forbidigo // synctest's clock
		cache := newCache(t, scannertest.NewSource(), scanner.CacheOptions{TTL: time.Hour})
		n, err := cache.Restore(path)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		_, err = cache.Verdict(t.Context(), scannertest.ImageID(1))
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		cache = newCache(t, scannertest.NewSource(), scanner.CacheOptions{TTL: time.Hour})
		n, err = cache.Restore(path)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Zero(t, cache.Stats().Bytes)
	})
}

func TestASnapshotOfAWrongClockIsNotBelievedForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := saved(t, scanner.CacheOptions{TTL: 1000 * time.Hour})
		cache := newCache(t, scannertest.NewSource(), scanner.CacheOptions{TTL: time.Minute})
		_, err := cache.Restore(path)
		require.NoError(t, err)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		_, err = cache.Verdict(t.Context(), scannertest.ImageID(1))
		require.ErrorIs(t, err, scanner.ErrUnscanned)
	})
}

func TestADamagedSnapshotIsAnErrorAndTheCacheWorks(t *testing.T) {
	path := saved(t, scanner.CacheOptions{})
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 0; i < len(good); i += 7 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x20
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		cache := newCache(t, scannertest.NewSource(scannertest.Verdict(1, 2)), scanner.CacheOptions{})
		n, err := cache.Restore(path)
		require.ErrorContains(t, err, "damaged or of another version")
		require.Zero(t, n)
		require.Zero(t, cache.Stats().Size)
		v, err := cache.Verdict(t.Context(), scannertest.ImageID(1))
		require.NoError(t, err)
		require.Equal(t, 2, v.ScannedAt.Day())
	}
}

func TestASnapshotFromOtherSourcesIsNotBelieved(t *testing.T) {
	path := saved(t, scanner.CacheOptions{Origin: "reports a, linux/amd64"})
	s := scannertest.NewSource()
	cache := newCache(t, s, scanner.CacheOptions{Origin: "reports b, linux/amd64"})
	n, err := cache.Restore(path)
	require.ErrorIs(t, err, scanner.ErrOtherOrigin)
	require.NotContains(t, err.Error(), "damaged")
	require.Zero(t, n)
	_, err = cache.Verdict(t.Context(), scannertest.ImageID(1))
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	n, err = newCache(t, s, scanner.CacheOptions{Origin: "reports a, linux/amd64"}).Restore(path)
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestTheFirstStartHasNoSnapshot(t *testing.T) {
	cache := newCache(t, scannertest.NewSource(), scanner.CacheOptions{})
	n, err := cache.Restore(filepath.Join(t.TempDir(), "absent"))
	require.NoError(t, err)
	require.Zero(t, n)
	require.Error(t, cache.Save(filepath.Join(t.TempDir(), "absent", "verdicts")))
}

func TestACacheInUseIsNotOverwritten(t *testing.T) {
	path := saved(t, scanner.CacheOptions{})
	cache := newCache(t, scannertest.NewSource(scannertest.Verdict(2, 1)), scanner.CacheOptions{})
	_, err := cache.Verdict(t.Context(), scannertest.ImageID(2))
	require.NoError(t, err)
	_, err = cache.Restore(path)
	require.ErrorContains(t, err, "in use already")
}

func TestASmallerCacheRestoresTheVerdictsUsedLast(t *testing.T) {
	path := saved(t, scanner.CacheOptions{})
	s := scannertest.NewSource()
	cache := newCache(t, s, scanner.CacheOptions{Size: 1})
	n, err := cache.Restore(path)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = cache.Verdict(t.Context(), scannertest.ImageID(4))
	require.NoError(t, err)
}

func TestAnIncompleteVerdictIsNotKept(t *testing.T) {
	s := halved{scannertest.Verdict(1, 1)}
	cache := newCache(t, s, scanner.CacheOptions{})
	_, err := cache.Verdict(t.Context(), scannertest.ImageID(1))
	require.Error(t, err)
	path := filepath.Join(t.TempDir(), "verdicts")
	require.NoError(t, cache.Save(path))
	n, err := newCache(t, s, scanner.CacheOptions{}).Restore(path)
	require.NoError(t, err)
	require.Zero(t, n)
}

// halved is a source that knows only a part.
type halved struct{ known *verdict.Verdict }

func (h halved) Verdict(_ context.Context, _ scanner.Image) (*verdict.Verdict, error) {
	return h.known, errors.New("half of it")
}
