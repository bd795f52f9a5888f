package scanner_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// source answers as the test says and counts how often it was asked.
type source struct {
	asked  atomic.Int32
	answer func(ctx context.Context) (*verdict.Verdict, error)
}

func (s *source) Verdict(ctx context.Context, _ string) (*verdict.Verdict, error) {
	s.asked.Add(1)
	return s.answer(ctx)
}

func found(context.Context) (*verdict.Verdict, error)     { return &verdict.Verdict{}, nil }
func unscanned(context.Context) (*verdict.Verdict, error) { return nil, scanner.ErrUnscanned }

func newCache(t *testing.T, s scanner.Source, options scanner.CacheOptions) *scanner.Cache {
	t.Helper()
	cache, err := scanner.NewCache(s, options)
	require.NoError(t, err)
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
		require.Equal(t, scanner.Stats{Hits: 2, Misses: 1, Size: 1}, cache.Stats())
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		_, err := cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 2, s.asked.Load())
	})
}

func TestUnscannedIsRememberedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: unscanned}
		cache := newCache(t, s, scanner.CacheOptions{NegativeTTL: time.Second})
		for range 2 {
			_, err := cache.Verdict(t.Context(), "a")
			require.ErrorIs(t, err, scanner.ErrUnscanned)
		}
		require.EqualValues(t, 1, s.asked.Load())
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, scanner.ErrUnscanned)
		require.EqualValues(t, 2, s.asked.Load())
	})
}

func TestAFailureIsNotRemembered(t *testing.T) {
	broken := errors.New("disk on fire")
	s := &source{answer: func(context.Context) (*verdict.Verdict, error) { return nil, broken }}
	cache := newCache(t, s, scanner.CacheOptions{})
	for range 2 {
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, broken)
	}
	require.EqualValues(t, 2, s.asked.Load())
}

func TestAHundredContainersOfOneImageAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &source{answer: func(context.Context) (*verdict.Verdict, error) { <-release; return &verdict.Verdict{}, nil }}
		cache := newCache(t, s, scanner.CacheOptions{})
		var waiting sync.WaitGroup
		for range 100 {
			waiting.Go(func() {
				v, err := cache.Verdict(t.Context(), "a")
				require.NoError(t, err)
				require.NotNil(t, v)
			})
		}
		synctest.Wait()
		close(release)
		waiting.Wait()
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestASlowSourceCostsTheBudgetAndItsAnswerServesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &source{answer: func(context.Context) (*verdict.Verdict, error) { <-release; return &verdict.Verdict{}, nil }}
		cache := newCache(t, s, scanner.CacheOptions{Timeout: 2 * time.Second})
		began := time.Now()
		_, err := cache.Verdict(t.Context(), "a")
		require.ErrorIs(t, err, scanner.ErrTimeout)
		require.Equal(t, 2*time.Second, time.Since(began))
		close(release)
		synctest.Wait()
		_, err = cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestACallerThatGoesAwayDoesNotEndTheLookupForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &source{answer: func(ctx context.Context) (*verdict.Verdict, error) {
			<-release
			return &verdict.Verdict{}, ctx.Err()
		}}
		cache := newCache(t, s, scanner.CacheOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cache.Verdict(ctx, "a")
		require.ErrorIs(t, err, context.Canceled)
		close(release)
		_, err = cache.Verdict(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, s.asked.Load())
	})
}

func TestForgetDuringALookupKeepsTheOldAnswerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &source{answer: func(context.Context) (*verdict.Verdict, error) { <-release; return &verdict.Verdict{}, nil }}
		cache := newCache(t, s, scanner.CacheOptions{})
		go func() { _, _ = cache.Verdict(t.Context(), "a") }()
		synctest.Wait()
		cache.Forget("a")
		close(release)
		synctest.Wait()
		require.Zero(t, cache.Stats().Size)
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	cache := newCache(t, &source{answer: found}, scanner.CacheOptions{Size: 2})
	for _, id := range []string{"a", "b", "c"} {
		_, err := cache.Verdict(t.Context(), id)
		require.NoError(t, err)
	}
	require.Equal(t, 2, cache.Stats().Size)
	_, err := scanner.NewCache(&source{}, scanner.CacheOptions{Size: -1})
	require.ErrorContains(t, err, "verdict cache of -1 entries")
}
