package scannertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// Subject is one source under test, and how to make it know things.
type Subject struct {
	Source scanner.Source
	// Put makes the source know what v says of vulnerabilities, in place of what it knew of that image.
	Put func(t *testing.T, v *verdict.Verdict)
	// Break makes the source unable to look, as far as this image is concerned.
	Break func(t *testing.T, imageID string)
	// Remove makes the source know nothing of an image; nil where that cannot be.
	Remove func(t *testing.T, imageID string)
	// NeverClean says that the source cannot tell a clean image from one nobody has looked at.
	NeverClean bool
}

// Run runs the suite on subjects that start, each anew, with nothing known.
func Run(t *testing.T, start func(t *testing.T) *Subject) {
	for name, test := range map[string]func(*testing.T, *Subject){
		"what is not known is unscanned":                 unscanned,
		"findings come through":                          findings,
		"clean is not unscanned":                         clean,
		"another image's verdict is not given":           otherImage,
		"the newer verdict replaces the older":           replaced,
		"a verdict taken away is unscanned":              removed,
		"a failure is not unscanned":                     failure,
		"a failure about one image is not about another": failureElsewhere,
		"a caller that goes away is let go":              abandoned,
		"a verdict given does not change":                unchanged,
		"many ask at once":                               concurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

func ask(t *testing.T, s *Subject, n int) (*verdict.Verdict, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return s.Source.Verdict(ctx, Image(n))
}

func mustAsk(t *testing.T, s *Subject, n int) *verdict.Verdict {
	t.Helper()
	v, err := ask(t, s, n)
	require.NoError(t, err)
	require.Equal(t, ImageID(n), v.ImageID)
	return v
}

func requireUnscanned(t *testing.T, s *Subject, n int) {
	t.Helper()
	v, err := ask(t, s, n)
	require.ErrorIs(t, err, scanner.ErrUnscanned)
	require.Nil(t, v)
}

func ids(v *verdict.Verdict) []string {
	var ids []string
	for _, found := range v.Vulnerabilities {
		ids = append(ids, found.ID)
	}
	return ids
}

func unscanned(t *testing.T, s *Subject) {
	requireUnscanned(t, s, 1)
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	requireUnscanned(t, s, 2)
}

func findings(t *testing.T, s *Subject) {
	put := Verdict(1, 1, "CVE-2026-0001", "CVE-2026-0002")
	s.Put(t, put)
	v := mustAsk(t, s, 1)
	require.True(t, v.Covers(verdict.KindVulnerabilities))
	require.False(t, v.Covers(verdict.KindMalware), "nobody has looked for malware")
	require.NotEmpty(t, v.Scanner.Name)
	require.Equal(t, put.ScannedAt, v.ScannedAt)
	require.Equal(t, ids(put), ids(v))
	for i, found := range v.Vulnerabilities {
		require.Equal(t, verdict.High, found.Severity)
		require.Equal(t, put.Vulnerabilities[i].Package, found.Package)
		require.Equal(t, "1.0", found.Version)
	}
}

func clean(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1))
	if s.NeverClean {
		requireUnscanned(t, s, 1)
		return
	}
	v := mustAsk(t, s, 1)
	require.Empty(t, v.Vulnerabilities)
	require.True(t, v.Covers(verdict.KindVulnerabilities))
}

func otherImage(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	s.Put(t, Verdict(2, 1, "CVE-2026-0002"))
	require.Equal(t, []string{"CVE-2026-0001"}, ids(mustAsk(t, s, 1)))
	require.Equal(t, []string{"CVE-2026-0002"}, ids(mustAsk(t, s, 2)))
}

func replaced(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	mustAsk(t, s, 1)
	s.Put(t, Verdict(1, 2, "CVE-2026-0002"))
	require.Equal(t, []string{"CVE-2026-0002"}, ids(mustAsk(t, s, 1)))
}

func removed(t *testing.T, s *Subject) {
	if s.Remove == nil {
		t.Skip("this source forgets nothing")
	}
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	mustAsk(t, s, 1)
	s.Remove(t, ImageID(1))
	requireUnscanned(t, s, 1)
}

func failure(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	s.Break(t, ImageID(1))
	_, err := ask(t, s, 1)
	require.Error(t, err)
	require.NotErrorIs(t, err, scanner.ErrUnscanned)
	s.Put(t, Verdict(1, 2, "CVE-2026-0002"))
	require.Equal(t, []string{"CVE-2026-0002"}, ids(mustAsk(t, s, 1)), "it works again")
}

func failureElsewhere(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	s.Put(t, Verdict(2, 1, "CVE-2026-0002"))
	s.Break(t, ImageID(1))
	require.Equal(t, []string{"CVE-2026-0002"}, ids(mustAsk(t, s, 2)))
}

func abandoned(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, err := s.Source.Verdict(ctx, Image(1))
	if err != nil { // it may as well have had the answer at hand
		require.True(t, errors.Is(err, context.Canceled), err)
		require.Nil(t, v)
	}
	mustAsk(t, s, 1)
}

func unchanged(t *testing.T, s *Subject) {
	s.Put(t, Verdict(1, 1, "CVE-2026-0001"))
	before := mustAsk(t, s, 1)
	s.Put(t, Verdict(1, 2, "CVE-2026-0002"))
	mustAsk(t, s, 1)
	require.Equal(t, []string{"CVE-2026-0001"}, ids(before))
}

func concurrent(t *testing.T, s *Subject) {
	for n := range 4 {
		s.Put(t, Verdict(n, 1, "CVE-2026-0001"))
	}
	var asking sync.WaitGroup
	errs := make(chan error, 32)
	for i := range cap(errs) {
		asking.Go(func() {
			v, err := ask(t, s, i%4)
			if err == nil && v.ImageID != ImageID(i%4) {
				err = errors.New("got the verdict of " + v.ImageID)
			}
			errs <- err
		})
	}
	asking.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
