package scanner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"portcullis/scanner-client/verdict"
)

// Link is one source in a Chain.
type Link struct {
	Name   string // as configured, for logs and metrics
	Source Source
	// Kinds are what the source can tell of; default all. It is not asked for what is known already.
	Kinds   []verdict.Kind
	Timeout time.Duration // of one question; default 10s
}

// ChainOptions say when a failing source is left alone; zero values take the defaults.
type ChainOptions struct {
	Failures int           // in a row, after which a source is not asked for a while; default 5
	Rest     time.Duration // that while; default 30s
	// Failed is told of every failure, those that another source made up for too. It may be nil.
	Failed func(source string, err error)
	Now    func() time.Time // default time.Now
}

// Chain is a Source that asks several, in order, until every kind of risk is known or all were asked.
// What one source does not know, or fails to say, the next may.
type Chain struct {
	options ChainOptions
	links   []*link
}

type link struct {
	Link
	breaker breaker
}

// NewChain makes one source of many.
func NewChain(options ChainOptions, links ...Link) *Chain {
	setDefault(&options.Failures, 5)
	setDefault(&options.Rest, 30*time.Second)
	if options.Failed == nil {
		options.Failed = func(string, error) {}
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	c := &Chain{options: options}
	for _, l := range links {
		setDefault(&l.Timeout, 10*time.Second)
		if l.Kinds == nil {
			l.Kinds = verdict.Kinds()
		}
		c.links = append(c.links, &link{Link: l, breaker: breaker{failures: options.Failures, rest: options.Rest, now: options.Now}})
	}
	return c
}

// Verdict merges what the sources know. A failure counts only when it may be the reason why a kind of
// risk is not known.
func (c *Chain) Verdict(ctx context.Context, image Image) (*verdict.Verdict, error) {
	var known *verdict.Verdict
	failed := map[*link]error{}
	for _, l := range c.links {
		if covers(known, l.Kinds) {
			continue
		}
		v, err := l.ask(ctx, image)
		if err != nil && !errors.Is(err, ErrUnscanned) {
			failed[l] = fmt.Errorf("%s: %w", l.Name, err)
			if !errors.Is(err, ErrResting) { // told already
				c.options.Failed(l.Name, err)
			}
		}
		known = verdict.Merge(known, beyond(known, v))
		if ctx.Err() != nil {
			break
		}
	}
	var failures []error
	for _, l := range c.links {
		if err := failed[l]; err != nil && !covers(known, l.Kinds) {
			failures = append(failures, err)
		}
	}
	if known == nil && len(failures) == 0 {
		return nil, ErrUnscanned
	}
	return known, errors.Join(failures...)
}

// beyond is what v says of kinds that known does not cover: the earlier source has the word on the others,
// however new the scan of a later one is.
func beyond(known, v *verdict.Verdict) *verdict.Verdict {
	if known == nil || v == nil {
		return v
	}
	more := *v
	more.Scanned = slices.DeleteFunc(slices.Clone(v.Scanned), known.Covers)
	if known.Covers(verdict.KindVulnerabilities) {
		more.Vulnerabilities = nil
	}
	if known.Covers(verdict.KindMalware) {
		more.Malware = nil
	}
	if known.Covers(verdict.KindSecrets) {
		more.Secrets = nil
	}
	return &more
}

func covers(v *verdict.Verdict, kinds []verdict.Kind) bool {
	for _, kind := range kinds {
		if v == nil || !v.Covers(kind) {
			return false
		}
	}
	return true
}

func (l *link) ask(ctx context.Context, image Image) (*verdict.Verdict, error) {
	if err := l.breaker.allow(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	v, err := l.Source.Verdict(limited, image)
	l.breaker.record(v, err, ctx.Err() != nil)
	return v, err
}

// SourceStats counts what one source of a Chain has answered.
type SourceStats struct {
	Name                     string
	Found, Unscanned, Failed uint64
	Resting                  bool // not asked at the moment because it has failed too often
}

// Stats returns the counts of each source, in order.
func (c *Chain) Stats() []SourceStats {
	var all []SourceStats
	for _, l := range c.links {
		stats := l.breaker.stats()
		stats.Name = l.Name
		all = append(all, stats)
	}
	return all
}
