package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source answers as the test says and counts how often it was asked.
type source struct {
	asked  atomic.Int32
	answer func(ctx context.Context) (*verdict.Verdict, error)
}

func (s *source) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	s.asked.Add(1)
	v, err := s.answer(ctx)
	if v != nil {
		v.ImageID = image.ID
	}
	return v, err
}

func found(context.Context) (*verdict.Verdict, error)     { return &verdict.Verdict{}, nil }
func unscanned(context.Context) (*verdict.Verdict, error) { return nil, scanner.ErrUnscanned }

// waiting is a source that answers when it is released, or when its question is abandoned.
func waiting() (s *source, release func()) {
	released := make(chan struct{})
	return &source{answer: func(ctx context.Context) (*verdict.Verdict, error) {
		select {
		case <-released:
			return &verdict.Verdict{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, func() { close(released) }
}

func newCache(t testing.TB, s scanner.Source, options scanner.CacheOptions) *scanner.Cache {
	t.Helper()
	cache, err := scanner.NewCache(s, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	return cache
}

func TestAVerdictIsAskedForOnceUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: found}
		cache := newCache(t, s, scanner.CacheOptions{TTL: time.Minute})
		for range 3 {
			v, err := cache.Verdict(t.Context(), "a")
			require.NoError(t, err)
			require.NotNil(t, v)
		}
		require.EqualValues(t, 1, s.asked.Load())
		stats := cache.Stats()
		require.Equal(t, [3]int{2, 1, 1}, [3]int{int(stats.Hits), int(stats.Misses), stats.Size})
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 2, s.asked.Load())
	})
}

func TestAVerdictInUseIsRenewedBeforeAnybodyHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: found}
		cache := newCache(t, s, scanner.CacheOptions{TTL: time.Minute})
		ask := func() {
			_, err := cache.Verdict(t.Context(), "a")
			require.NoError(t, err)
			synctest.Wait()
		}
		ask()
		time.Sleep(44 * time.Second) //nolint:forbidigo // synctest's clock
		ask()
		require.EqualValues(t, 1, s.asked.Load(), "too early")
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		ask()
		require.EqualValues(t, 2, s.asked.Load())
		time.Sleep(30 * time.Second) //nolint:forbidigo // synctest's clock
		ask()
		require.EqualValues(t, 2, s.asked.Load(), "the new answer is believed for a minute again")
		require.EqualValues(t, 1, cache.Stats().Misses)
	})
}

func TestARenewalThatFailsLeavesWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: found}
		cache := newCache(t, s, scanner.CacheOptions{TTL: time.Minute})
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		s.answer = func(context.Context) (*verdict.Verdict, error) { return &verdict.Verdict{}, errors.New("half of it") }
		time.Sleep(50 * time.Second) //nolint:forbidigo // synctest's clock
		for range 5 {
			_, err = cache.Verdict(t.Context(), "a")
			require.NoError(t, err)
			synctest.Wait()
		}
		require.EqualValues(t, 2, s.asked.Load(), "a failing source is not asked at every use")
		time.Sleep(10 * time.Second) //nolint:forbidigo // synctest's clock
		_, err = cache.Verdict(t.Context(), "a")
		require.ErrorContains(t, err, "half of it", "but not for ever")
	})
}

func TestUnscannedIsRememberedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: unscanned}
		cache := newCache(t, s, scanner.CacheOptions{NegativeTTL: time.Second})
		for range 2 {
			_, err := cache.Verdict(t.Context(), "a")
			require.Equal(t, scanner.ErrUnscanned, err)
		}
		require.EqualValues(t, 1, s.asked.Load())
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		require.EqualValues(t, 2, s.asked.Load())
	})
}

func TestAnIncompleteVerdictComesWithItsErrorAndIsBelievedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("malware scanner down")
		s := &source{answer: func(context.Context) (*verdict.Verdict, error) {
			return &verdict.Verdict{Scanner: verdict.Scanner{Name: "half"}}, down
		}}
		cache := newCache(t, s, scanner.CacheOptions{NegativeTTL: time.Second})
		for range 2 {
			v, err := cache.Verdict(t.Context(), "a")
			require.ErrorIs(t, err, down)
			require.Equal(t, "half", v.Scanner.Name)
		}
		require.EqualValues(t, 1, s.asked.Load())
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		s.answer = found
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
	})
}

func TestTheStartOfOneContainerAsksAFailingSourceOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk on fire")
		s := &source{answer: func(context.Context) (*verdict.Verdict, error) { return nil, broken }}
		cache := newCache(t, s, scanner.CacheOptions{})
		cache.Prefetch("a") // PullImage, ImageStatus
		synctest.Wait()
		cache.Prefetch("a")
		for range 2 { // CreateContainer, StartContainer
			_, err := cache.Verdict(t.Context(), "a")
			require.ErrorIs(t, err, broken)
			require.ErrorContains(t, err, "verdict of a: ")
		}
		synctest.Wait()
		require.EqualValues(t, 1, s.asked.Load())
		require.EqualValues(t, 1, cache.Stats().Failures)
		time.Sleep(2 * time.Second) //nolint:forbidigo // synctest's clock
		s.answer = found
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err, "the kubelet's next try")
	})
}

func TestAnImageThatTheRuntimeDoesNotKnowYetIsNotAFailureToRemember(t *testing.T) {
	runtime := &images{failure: errors.New("not yet")}
	cache := newCache(t, &source{answer: found}, scanner.CacheOptions{Images: runtime})
	_, err := cache.Verdict(t.Context(), scannertest.ImageID(1))
	require.ErrorContains(t, err, "not yet")
	runtime.failure = nil
	_, err = cache.Verdict(t.Context(), scannertest.ImageID(1))
	require.NoError(t, err)
}

func TestManyImagesAtOnceDoNotAskTheSourceAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{Lookups: 3, FlightTimeout: time.Minute})
		began := time.Now()
		late := make(chan error)
		for n := range 10 {
			go func() { _, err := cache.Verdict(t.Context(), scannertest.ImageID(n)); late <- err }()
		}
		for range 10 {
			require.ErrorIs(t, <-late, scanner.ErrTimeout)
		}
		require.Equal(t, 2*time.Second, time.Since(began), "who waits for a turn waits no longer than for an answer")
		require.EqualValues(t, 3, s.asked.Load())
		release()
		synctest.Wait()
		require.EqualValues(t, 10, s.asked.Load())
		require.Equal(t, 10, cache.Stats().Size)
	})
}

func TestALookupThatNeverGetsItsTurnIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: func(ctx context.Context) (*verdict.Verdict, error) {
			time.Sleep(time.Hour) //nolint:forbidigo // synctest's clock: a source that does not listen
			return nil, ctx.Err()
		}}
		cache := newCache(t, s, scanner.CacheOptions{Lookups: 1, FlightTimeout: time.Minute, Timeout: 2 * time.Minute})
		cache.Prefetch("a")
		synctest.Wait()
		_, err := cache.Verdict(t.Context(), "b")
		require.ErrorContains(t, err, "1 other lookups are under way")
		time.Sleep(2 * time.Hour) //nolint:forbidigo // synctest's clock
	})
}

func TestASourceThatPanicsHasFailed(t *testing.T) {
	s := &source{answer: func(context.Context) (*verdict.Verdict, error) { panic("odd report") }}
	_, err := newCache(t, s, scanner.CacheOptions{}).Verdict(t.Context(), "a")
	require.ErrorContains(t, err, "source panicked: odd report")
}

// confused answers every question with the same verdict.
type confused struct{ answer *verdict.Verdict }

func (c confused) Verdict(context.Context, scanner.Image) (*verdict.Verdict, error) {
	return c.answer, nil
}

func TestAVerdictOfAnotherImageIsNotBelieved(t *testing.T) {
	_, err := newCache(t, confused{scannertest.Verdict(2, 1)}, scanner.CacheOptions{}).Verdict(t.Context(), scannertest.ImageID(1))
	require.ErrorContains(t, err, "source answered with a verdict of image")
	v, err := newCache(t, confused{}, scanner.CacheOptions{}).Verdict(t.Context(), scannertest.ImageID(1))
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	require.Nil(t, v)
}

func TestAnIDWithoutItsAlgorithmIsTheSameImage(t *testing.T) {
	s := scannertest.NewSource(scannertest.Verdict(1, 1))
	v, err := newCache(t, s, scanner.CacheOptions{}).Verdict(t.Context(), strings.TrimPrefix(scannertest.ImageID(1), "sha256:"))
	require.NoError(t, err)
	require.Equal(t, scannertest.ImageID(1), v.ImageID)
}

func TestAHundredContainersOfOneImageAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{})
		var containers sync.WaitGroup
		for range 100 {
			containers.Go(func() {
				v, err := cache.Verdict(t.Context(), "a")
				require.NoError(t, err)
				require.NotNil(t, v)
			})
		}
		synctest.Wait()
		release()
		containers.Wait()
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestASlowSourceCostsTheBudgetAndItsAnswerServesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{Timeout: 2 * time.Second})
		began := time.Now()
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, scanner.ErrTimeout)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.EqualValues(t, 1, cache.Stats().Timeouts)
		require.Equal(t, 1, cache.Stats().Lookups)
		release()
		synctest.Wait()
		_, err = cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestALookupEndsAfterItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := waiting()
		cache := newCache(t, s, scanner.CacheOptions{FlightTimeout: time.Minute})
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, scanner.ErrTimeout)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		require.Zero(t, cache.Stats().Lookups)
	})
}

func TestACallerThatGoesAwayDoesNotEndTheLookupForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cache.Verdict(ctx, "a")
		require.ErrorIs(t, err, context.Canceled)
		release()
		_, err = cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestForgetDuringALookupKeepsTheOldAnswerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{})
		go func() { _, _ = cache.Verdict(t.Context(), "a") }()
		go func() { _, _ = cache.Verdict(t.Context(), "b") }()
		synctest.Wait()
		cache.Forget("a")
		release()
		synctest.Wait()
		require.Equal(t, 1, cache.Stats().Size, "b is not concerned")
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 3, s.asked.Load())
	})
}

func TestWhoAsksAfterForgetDoesNotGetTheAnswerFromBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, release := waiting()
		s := &source{answer: old.answer}
		cache := newCache(t, s, scanner.CacheOptions{})
		go func() { _, _ = cache.Verdict(t.Context(), "a") }()
		synctest.Wait()
		cache.Forget("a")
		s.answer = unscanned
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		release()
	})
}

// images is a runtime that holds the images that scannertest numbers.
type images struct {
	asked   atomic.Int32
	failure error
}

func (i *images) Image(_ context.Context, id string) (scanner.Image, error) {
	i.asked.Add(1)
	for n := range 10 {
		if scannertest.ImageID(n) == id {
			return scannertest.Image(n), i.failure
		}
	}
	return scanner.Image{}, errors.New("no such image")
}

// names is a source that keeps the image that it was asked about.
type names struct{ asked scanner.Image }

func (n *names) Verdict(_ context.Context, image scanner.Image) (*verdict.Verdict, error) {
	n.asked = image
	return nil, scanner.ErrUnscanned
}

func TestTheSourceGetsTheNamesThatTheRuntimeHolds(t *testing.T) {
	s, runtime := &names{}, &images{}
	cache := newCache(t, s, scanner.CacheOptions{Images: runtime})
	_, err := cache.Verdict(t.Context(), scannertest.ImageID(1))
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	require.Equal(t, scannertest.Image(1), s.asked)
	_, err = cache.Verdict(t.Context(), "unknown")
	require.ErrorContains(t, err, "names of the image: no such image")
	require.NotErrorIs(t, err, scanner.ErrUnscanned, "it may be scanned under a name that we could not find out")
}

func TestOnlyTheImagesThatAChangeConcernsAreForgotten(t *testing.T) {
	s := scannertest.NewSource(scannertest.Verdict(1, 1), scannertest.Verdict(2, 1))
	cache := newCache(t, s, scanner.CacheOptions{Images: &images{}})
	for n := range 4 {
		_, _ = cache.Verdict(t.Context(), scannertest.ImageID(n))
	}
	forgotten := cache.ForgetWhere(func(i scanner.Image) bool {
		return i.Tags[0] == scannertest.Image(2).Tags[0] || i.Digests[0] == scannertest.Image(3).Digests[0]
	})
	require.ElementsMatch(t, []string{scannertest.ImageID(2), scannertest.ImageID(3)}, forgotten, "the unscanned one too")
	require.Equal(t, 2, cache.Stats().Size)
	cache.ForgetAll()
	stats := cache.Stats()
	require.Equal(t, [3]int{}, [3]int{stats.Size, stats.Findings, stats.Bytes}, "nothing is left behind")
}

func TestAChangeDuringALookupKeepsTheOldAnswerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{Images: &images{}})
		for n := range 2 {
			go func() { _, _ = cache.Verdict(t.Context(), scannertest.ImageID(n)) }()
		}
		synctest.Wait()
		require.Equal(t, []string{scannertest.ImageID(1)}, cache.ForgetWhere(func(i scanner.Image) bool { return i.ID == scannertest.ImageID(1) }))
		release()
		synctest.Wait()
		require.Equal(t, 1, cache.Stats().Size)
	})
}

func TestTheCacheIsBoundedInNumber(t *testing.T) {
	cache := newCache(t, &source{answer: found}, scanner.CacheOptions{Size: 2})
	for _, id := range []string{"a", "b", "c"} {
		_, err := cache.Verdict(t.Context(), id)
		require.NoError(t, err)
	}
	require.Equal(t, 2, cache.Stats().Size)
	require.EqualValues(t, 1, cache.Stats().Evicted)
	_, err := scanner.NewCache(&source{}, scanner.CacheOptions{Size: -1})
	require.ErrorContains(t, err, "verdict cache of -1 entries")
}

func TestTheCacheIsBoundedInMemory(t *testing.T) {
	s := scannertest.NewSource()
	cache := newCache(t, s, scanner.CacheOptions{Memory: 100_000})
	for n := range 100 {
		var cves []string
		for i := range 100 {
			cves = append(cves, fmt.Sprintf("CVE-%d-%d", 1000+n, 1000+i))
		}
		s.Put(scannertest.Verdict(n, 1, cves...))
		v, err := cache.Verdict(t.Context(), scannertest.ImageID(n))
		require.NoError(t, err)
		require.Len(t, v.Vulnerabilities, 100)
	}
	stats := cache.Stats()
	require.LessOrEqual(t, stats.Bytes, 100_000)
	require.Positive(t, stats.Size)
	require.EqualValues(t, 100-stats.Size, stats.Evicted)
}

func TestAVerdictStaysTheSameObjectWhileItIsInUse(t *testing.T) {
	s := scannertest.NewSource(scannertest.Verdict(1, 1, "CVE-2026-0001"), scannertest.Verdict(2, 1, "CVE-2026-0002"))
	cache := newCache(t, s, scanner.CacheOptions{Open: 2})
	ask := func(n int) *verdict.Verdict {
		v, err := cache.Verdict(t.Context(), scannertest.ImageID(n))
		require.NoError(t, err)
		return v
	}
	first := ask(1)
	require.Same(t, first, ask(1), "decisions are cached by it")
	ask(2)
	packed := ask(1)
	require.NotSame(t, first, packed, "there was room for one")
	require.Equal(t, first, packed)
	require.Equal(t, scannertest.Verdict(1, 1, "CVE-2026-0001"), packed)
}

func TestWarmingLooksUpAFewAtATimeWhatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runtime := &images{failure: errors.New("must not be asked")}
		s, release := waiting()
		cache := newCache(t, s, scanner.CacheOptions{Warmers: 2, Images: runtime})
		var node []scanner.Image
		for n := range 5 {
			node = append(node, scannertest.Image(n))
		}
		done := make(chan struct{})
		go func() { cache.Warm(t.Context(), node); close(done) }()
		synctest.Wait()
		require.EqualValues(t, 2, s.asked.Load())
		go func() { _, _ = cache.Verdict(t.Context(), scannertest.ImageID(0)) }()
		synctest.Wait()
		require.EqualValues(t, 2, s.asked.Load(), "shares the lookup")
		release()
		<-done
		require.EqualValues(t, 5, s.asked.Load())
		cache.Warm(t.Context(), node)
		require.EqualValues(t, 5, s.asked.Load(), "all are known")
		require.Zero(t, runtime.asked.Load(), "the names were given")
	})
}

func TestWarmingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := waiting()
		cache := newCache(t, s, scanner.CacheOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { cache.Warm(ctx, []scanner.Image{{ID: "a"}, {ID: "b"}, {ID: "c"}}); close(done) }()
		synctest.Wait()
		cancel()
		<-done
		require.EqualValues(t, 2, s.asked.Load())
	})
}

func TestWhatIsPrefetchedIsThereWhenTheContainerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: found}
		cache := newCache(t, s, scanner.CacheOptions{})
		for range 3 {
			cache.Prefetch("a")
			synctest.Wait()
		}
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, s.asked.Load())
		require.EqualValues(t, 1, cache.Stats().Hits)
	})
}

// renamed is a runtime whose image has got another name since it was looked up.
type renamed struct {
	images
	digests []string
}

func (r *renamed) Image(ctx context.Context, id string) (scanner.Image, error) {
	image, err := r.images.Image(ctx, id)
	image.Digests = append(image.Digests, r.digests...)
	return image, err
}

func TestANameThatAnImageGotLaterIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runtime, s := &renamed{}, &source{answer: unscanned}
		cache := newCache(t, s, scanner.CacheOptions{Images: runtime, NegativeTTL: time.Hour})
		id := scannertest.ImageID(1)
		_, err := cache.Verdict(t.Context(), id)
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		cache.Prefetch(id)
		synctest.Wait()
		require.EqualValues(t, 1, s.asked.Load(), "same names, same answer")

		s.answer, runtime.digests = found, []string{"mirror.example.com/app@" + id}
		cache.Prefetch(id) // a pull
		synctest.Wait()
		_, err = cache.Verdict(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, 2, s.asked.Load())

		image, err := runtime.Image(t.Context(), id)
		require.NoError(t, err)
		slices.Reverse(image.Digests)
		require.Empty(t, cache.ForgetRenamed([]scanner.Image{image, scannertest.Image(7)}), "the order of names says nothing")
		image.Tags = nil
		require.Equal(t, []string{id}, cache.ForgetRenamed([]scanner.Image{image}))
		require.Zero(t, cache.Stats().Size)

		runtime.failure = errors.New("runtime away")
		_, _ = cache.Verdict(t.Context(), id)
		cache.Prefetch(id)
		synctest.Wait()
	})
}

func TestAClosedCacheEndsItsLookupsAndAnswersFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: found}
		cache := newCache(t, s, scanner.CacheOptions{})
		_, err := cache.Verdict(t.Context(), "known")
		require.NoError(t, err)
		slow, _ := waiting()
		s.answer = slow.answer
		failed := make(chan error)
		go func() { _, err := cache.Verdict(t.Context(), "a"); failed <- err }()
		synctest.Wait()
		require.NoError(t, cache.Close())
		require.ErrorIs(t, <-failed, context.Canceled)
		_, err = cache.Verdict(t.Context(), "b")
		require.ErrorIs(t, err, scanner.ErrClosed)
		_, err = cache.Verdict(t.Context(), "known")
		require.NoError(t, err)
	})
}

func TestKnownIsWhatVerdictWouldSayWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := scannertest.NewSource(scannertest.Verdict(1, 1), scannertest.Verdict(3, 1))
		c := newCache(t, source, scanner.CacheOptions{Open: 1})
		_, known, _ := c.Known(scannertest.ImageID(1))
		require.False(t, known, "nobody has asked for it")
		require.Zero(t, c.Stats().Lookups, "and it is not looked up")
		want, err := c.Verdict(t.Context(), scannertest.ImageID(1))
		require.NoError(t, err)
		v, known, err := c.Known(scannertest.ImageID(1))
		require.True(t, known)
		require.NoError(t, err)
		require.Same(t, want, v)
		require.Equal(t, uint64(1), c.Stats().Hits)

		_, err = c.Verdict(t.Context(), scannertest.ImageID(2))
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		_, known, err = c.Known(scannertest.ImageID(2))
		require.True(t, known)
		require.ErrorIs(t, err, scanner.ErrUnscanned)

		_, err = c.Verdict(t.Context(), scannertest.ImageID(3))
		require.NoError(t, err)
		_, known, _ = c.Known(scannertest.ImageID(1))
		require.False(t, known, "it would have to be unpacked")
		_, known, _ = c.Known(scannertest.ImageID(3))
		require.True(t, known)
		time.Sleep(2 * time.Hour) //nolint:forbidigo // synctest's clock
		_, known, _ = c.Known(scannertest.ImageID(3))
		require.False(t, known, "it is not believed any more")
	})
}
