// Package scannertest answers: does this source do what a cache, a chain and the gate rely on?
//
// It has a Source that tests can tell what to know, and a suite that every source must pass, the fake
// one included.
package scannertest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/verdict"
)

// Source is a scanner.Source that knows what it was told.
type Source struct {
	mu      sync.Mutex
	known   map[string]*verdict.Verdict
	failure error
	broken  map[string]error
	asked   map[string]int
	// hold, when it is not nil, keeps every question waiting until it is closed.
	hold chan struct{}
}

var _ scanner.Source = (*Source)(nil)

// NewSource makes a source that knows nothing.
func NewSource(known ...*verdict.Verdict) *Source {
	s := &Source{known: map[string]*verdict.Verdict{}, broken: map[string]error{}, asked: map[string]int{}}
	for _, v := range known {
		s.Put(v)
	}
	return s
}

// Put makes the source know a verdict.
func (s *Source) Put(v *verdict.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[v.ImageID] = v
	delete(s.broken, v.ImageID)
}

// Break makes questions about one image fail until something is put there.
func (s *Source) Break(imageID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[imageID] = err
}

// Remove makes the source know nothing of an image.
func (s *Source) Remove(imageID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, imageID)
}

// Fail makes every question fail; nil makes the source work again.
func (s *Source) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// Hold keeps questions waiting until the function it returns is called.
func (s *Source) Hold() (release func()) {
	held := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = held
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hold = nil
		close(held)
	})
}

// Asked is how often the source was asked about an image.
func (s *Source) Asked(imageID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[imageID]
}

// Verdict answers as the source was told.
func (s *Source) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	s.mu.Lock()
	s.asked[image.ID]++
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.failure, s.broken[image.ID]); err != nil {
		return nil, err
	}
	if v := s.known[image.ID]; v != nil {
		return v, nil
	}
	return nil, scanner.ErrUnscanned
}

// ImageID is the ID of the image numbered n.
func ImageID(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// Image is the image numbered n, with a tag and a digest of its own.
func Image(n int) scanner.Image {
	return scanner.Image{
		ID:      ImageID(n),
		Tags:    []string{fmt.Sprintf("registry.example.com/shop/app-%d:1", n)},
		Digests: []string{fmt.Sprintf("registry.example.com/shop/app-%d@sha256:%s%060x", n, "d1f0", n)},
	}
}

// Verdict is a verdict of the image numbered n, of vulnerabilities, scanned on that day of November 2026.
func Verdict(n, day int, cves ...string) *verdict.Verdict {
	v := &verdict.Verdict{
		ImageID: ImageID(n), Scanner: verdict.Scanner{Name: "scannertest"}, Scanned: []verdict.Kind{verdict.KindVulnerabilities},
		ScannedAt: time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC),
	}
	for _, cve := range cves {
		v.Vulnerabilities = append(v.Vulnerabilities, verdict.Vulnerability{
			ID: cve, Severity: verdict.High, Package: "package-of-" + strings.ToLower(cve), Version: "1.0", FixedVersion: "1.1", Type: "deb",
		})
	}
	return v
}
