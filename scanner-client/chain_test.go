package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

var errDown = errors.New("connection refused")

func TestAChainIsASource(t *testing.T) {
	scannertest.Run(t, func(*testing.T) *scannertest.Subject {
		first, second := scannertest.NewSource(), scannertest.NewSource()
		return &scannertest.Subject{
			Source: scanner.NewChain(scanner.ChainOptions{}, scanner.Link{Name: "first", Source: first}, scanner.Link{Name: "second", Source: second}),
			Put:    func(_ *testing.T, v *verdict.Verdict) { second.Put(v) },
			Remove: func(_ *testing.T, id string) { second.Remove(id) },
			Break:  func(_ *testing.T, id string) { second.Break(id, errDown) },
		}
	})
}

// ofKinds is a verdict about image 1 that has looked for kinds only.
func ofKinds(name string, kinds ...verdict.Kind) *verdict.Verdict {
	v := scannertest.Verdict(1, 1)
	v.Scanner.Name, v.Scanned = name, kinds
	return v
}

func TestTheNextIsAskedOnlyForWhatIsNotKnown(t *testing.T) {
	folder := scannertest.NewSource(ofKinds("folder", verdict.KindVulnerabilities))
	adapter := scannertest.NewSource(ofKinds("adapter", verdict.KindVulnerabilities))
	clam := scannertest.NewSource(ofKinds("clam", verdict.KindMalware))
	chain := scanner.NewChain(scanner.ChainOptions{},
		scanner.Link{Name: "folder", Source: folder},
		scanner.Link{Name: "adapter", Source: adapter, Kinds: []verdict.Kind{verdict.KindVulnerabilities}},
		scanner.Link{Name: "clam", Source: clam},
	)
	v, err := chain.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Equal(t, "folder, clam", v.Scanner.Name)
	require.Zero(t, adapter.Asked(scannertest.ImageID(1)))
	require.Equal(t, []scanner.SourceStats{{Name: "folder", Found: 1}, {Name: "adapter"}, {Name: "clam", Found: 1}}, chain.Stats())
}

func TestAFailingSourceHidesNobodysAnswer(t *testing.T) {
	whole := scannertest.NewSource(ofKinds("whole", verdict.Kinds()...))
	part := scannertest.NewSource(ofKinds("part", verdict.KindVulnerabilities))
	broken, empty := scannertest.NewSource(), scannertest.NewSource()
	broken.Fail(errDown)
	var told []string
	options := scanner.ChainOptions{Failed: func(name string, err error) { told = append(told, name+": "+err.Error()) }}
	link := func(name string, s scanner.Source) scanner.Link { return scanner.Link{Name: name, Source: s} }

	v, err := scanner.NewChain(options, link("broken", broken), link("whole", whole)).Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err, "every kind is known")
	require.Equal(t, "whole", v.Scanner.Name)
	require.Equal(t, []string{"broken: connection refused"}, told, "it is loud all the same")

	v, err = scanner.NewChain(options, link("broken", broken), link("part", part)).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, errDown, "it may have known about malware")
	require.Equal(t, "part", v.Scanner.Name)

	v, err = scanner.NewChain(options, link("part", part), link("broken", broken)).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorIs(t, err, errDown)
	require.Equal(t, "part", v.Scanner.Name)

	v, err = scanner.NewChain(options, link("empty", empty), link("broken", broken)).Verdict(t.Context(), scannertest.Image(1))
	require.ErrorContains(t, err, "broken: connection refused")
	require.NotErrorIs(t, err, scanner.ErrUnscanned)
	require.Nil(t, v)

	_, err = scanner.NewChain(options, link("empty", empty)).Verdict(t.Context(), scannertest.Image(1))
	require.Equal(t, scanner.ErrUnscanned, err)
	_, err = scanner.NewChain(options).Verdict(t.Context(), scannertest.Image(1))
	require.Equal(t, scanner.ErrUnscanned, err)
}

func TestASourceThatOnlySuspectsIsNotTheLastWord(t *testing.T) {
	suspicious := scannertest.Verdict(1, 5, "CVE-2026-0001")
	suspicious.Scanned = nil
	chain := scanner.NewChain(scanner.ChainOptions{},
		scanner.Link{Name: "suspicious", Source: scannertest.NewSource(suspicious)},
		scanner.Link{Name: "sure", Source: scannertest.NewSource(ofKinds("sure", verdict.KindVulnerabilities))},
	)
	v, err := chain.Verdict(t.Context(), scannertest.Image(1))
	require.NoError(t, err)
	require.Empty(t, v.Vulnerabilities)
	require.True(t, v.Covers(verdict.KindVulnerabilities))
}

func TestASlowSourceCostsItsOwnTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, _ := waiting()
		chain := scanner.NewChain(scanner.ChainOptions{},
			scanner.Link{Name: "slow", Source: slow, Timeout: time.Second},
			scanner.Link{Name: "quick", Source: scannertest.NewSource(ofKinds("quick", verdict.Kinds()...))},
		)
		began := time.Now()
		_, err := chain.Verdict(t.Context(), scannertest.Image(1))
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestACallerThatGoesAwayIsNoFailureOfTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, _ := waiting()
		chain := scanner.NewChain(scanner.ChainOptions{Failures: 1}, scanner.Link{Name: "slow", Source: slow, Timeout: time.Hour}, scanner.Link{Name: "next", Source: scannertest.NewSource()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := chain.Verdict(ctx, scannertest.Image(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []scanner.SourceStats{{Name: "slow"}, {Name: "next"}}, chain.Stats(), "nobody waits for the next one any more")
	})
}

func TestADeadSourceIsLeftAloneAndThenTriedByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scannertest.NewSource(scannertest.Verdict(1, 1))
		s.Fail(errDown)
		told := 0
		options := scanner.ChainOptions{Failures: 3, Rest: time.Minute, Failed: func(string, error) { told++ }}
		chain := scanner.NewChain(options, scanner.Link{Name: "s", Source: s})
		ask := func() error {
			_, err := chain.Verdict(t.Context(), scannertest.Image(1))
			return err
		}
		asked := func() int { return s.Asked(scannertest.ImageID(1)) }
		for range 3 {
			require.NotErrorIs(t, ask(), scanner.ErrResting)
		}
		for range 10 {
			err := ask()
			require.ErrorIs(t, err, scanner.ErrResting)
			require.ErrorIs(t, err, errDown, "and says why")
		}
		require.Equal(t, 3, asked())
		require.Equal(t, 3, told)
		require.True(t, chain.Stats()[0].Resting)

		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		release := s.Hold()
		for range 5 {
			go func() { _ = ask() }()
		}
		synctest.Wait()
		require.Equal(t, 4, asked(), "one tries")
		release()
		synctest.Wait()
		require.ErrorIs(t, ask(), scanner.ErrResting, "and has failed")

		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		s.Fail(nil)
		for range 3 {
			require.NoError(t, ask())
		}
		require.False(t, chain.Stats()[0].Resting)
		require.Equal(t, 7, asked())
	})
}

func TestATryThatIsAbandonedDoesNotLockTheSourceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scannertest.NewSource(scannertest.Verdict(1, 1))
		s.Fail(errDown)
		chain := scanner.NewChain(scanner.ChainOptions{Failures: 1, Rest: time.Minute}, scanner.Link{Name: "s", Source: s})
		_, err := chain.Verdict(t.Context(), scannertest.Image(1))
		require.ErrorIs(t, err, errDown)
		time.Sleep(time.Minute) //nolint:forbidigo // synctest's clock
		s.Fail(nil)
		release := s.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = chain.Verdict(ctx, scannertest.Image(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		release()
		_, err = chain.Verdict(t.Context(), scannertest.Image(1))
		require.NoError(t, err)
	})
}

func TestABrokenReportOfOneImageDoesNotSilenceTheSource(t *testing.T) {
	s := scannertest.NewSource(scannertest.Verdict(2, 1))
	s.Break(scannertest.ImageID(1), scanner.ErrUnreadable)
	chain := scanner.NewChain(scanner.ChainOptions{Failures: 2}, scanner.Link{Name: "s", Source: s})
	for range 5 {
		_, err := chain.Verdict(t.Context(), scannertest.Image(1))
		require.ErrorIs(t, err, scanner.ErrUnreadable)
	}
	_, err := chain.Verdict(t.Context(), scannertest.Image(2))
	require.NoError(t, err)
	require.EqualValues(t, 5, chain.Stats()[0].Failed)
}

func TestAScanThatIsNotDoneYetDoesNotSilenceTheSource(t *testing.T) {
	s := &source{answer: func(context.Context) (*verdict.Verdict, error) {
		return nil, fmt.Errorf("adapter: %w", scanner.ErrPending)
	}}
	chain := scanner.NewChain(scanner.ChainOptions{Failures: 2}, scanner.Link{Name: "slow", Source: s})
	for range 5 {
		_, err := chain.Verdict(t.Context(), scannertest.Image(1))
		require.ErrorIs(t, err, scanner.ErrPending)
	}
	require.EqualValues(t, 5, s.asked.Load())
	require.False(t, chain.Stats()[0].Resting)
}

func TestALaterSourceDoesNotOverruleAnEarlierOne(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC) }
	risky := verdict.Merge(
		&verdict.Verdict{ImageID: "a", ScannedAt: at(10), Scanned: []verdict.Kind{verdict.KindVulnerabilities}, Vulnerabilities: []verdict.Vulnerability{{ID: "CVE-2026-0001", Package: "p"}}},
		&verdict.Verdict{ImageID: "a", ScannedAt: at(1), Scanned: []verdict.Kind{verdict.KindSecrets}},
	)
	clean := &verdict.Verdict{ImageID: "a", ScannedAt: at(5), Scanned: []verdict.Kind{verdict.KindVulnerabilities, verdict.KindMalware}}
	chain := scanner.NewChain(scanner.ChainOptions{},
		scanner.Link{Name: "first", Source: &source{answer: func(context.Context) (*verdict.Verdict, error) { return risky, nil }}},
		scanner.Link{Name: "second", Source: &source{answer: func(context.Context) (*verdict.Verdict, error) { return clean, nil }}},
	)
	v, err := chain.Verdict(t.Context(), scanner.Image{ID: "a"})
	require.NoError(t, err)
	require.Len(t, v.Vulnerabilities, 1)
	require.True(t, v.Covers(verdict.KindMalware))
}
