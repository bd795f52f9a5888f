package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/sirupsen/logrus"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// candidate is a report that may be about the image that is looked up.
type candidate struct {
	name      string
	file      indexed
	certainty certainty
}

// Verdict merges what the newest reports of each kind say about the image. A report about it that cannot be
// read is a failure and not unscanned, unless another that is at least as new covers the same.
func (f *Folder) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	v, err := merge(ctx, f.candidates(image), func(c *candidate) (*verdict.Verdict, error) {
		report, err := f.read(ctx, c.name)
		return part(image, f.options.Platform, filepath.Join(f.path, c.name), report, err)
	})
	if v == nil && err == nil {
		err = f.nothing()
	}
	return v, err
}

// merge joins what the candidates, newest scan first, say of one image. It returns nil for nothing.
func merge(ctx context.Context, newestFirst []candidate, read func(*candidate) (*verdict.Verdict, error)) (*verdict.Verdict, error) {
	chosen := choose(newestFirst)
	var parts []*verdict.Verdict
	for _, c := range chosen.read {
		part, err := read(&c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			chosen.failures = append(chosen.failures, err)
		}
		parts = append(parts, part)
	}
	v := verdict.Merge(chosen.shown(parts)...)
	if len(chosen.failures) > 0 {
		return v, fmt.Errorf("%w: %w", scanner.ErrUnreadable, errors.Join(chosen.failures...))
	}
	return v, nil
}

// part is what one report, which was read until err, says of the image, nil for nothing. The report may be
// another than the one that was indexed under the name.
func part(image scanner.Image, platform, name string, report *formats.Report, err error) (*verdict.Verdict, error) {
	certain, _ := about(&report.About, image, platform)
	v := &report.Verdict
	v.ImageID = image.ID
	switch certain {
	case no:
		if err == nil {
			err = fmt.Errorf("report %s: was about the image a moment ago and is about another now", name)
		}
		return nil, err
	case likely:
		v.Scanned = nil
	}
	if len(v.Scanned)+len(v.Vulnerabilities)+len(v.Malware)+len(v.Secrets) == 0 {
		return nil, err
	}
	return v, err
}

// nothing says what it means that no report is about an image: little, when the folder cannot be listed.
func (f *Folder) nothing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return f.failed
	}
	return scanner.ErrUnscanned
}

// candidates returns the reports about the image, newest scan first, broken ones included.
func (f *Folder) candidates(image scanner.Image) []candidate {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []candidate
	seen := map[string]bool{}
	for _, key := range keysOfImage(image) {
		for _, name := range f.byName[key] {
			if seen[name] {
				continue
			}
			seen[name] = true
			file := f.files[name]
			certain, why := file.about(image, f.options.Platform)
			f.remark(name, image, certain, why)
			if certain != no {
				found = append(found, candidate{name, file, certain})
			}
		}
	}
	sortNewestFirst(found)
	return found
}

func sortNewestFirst(found []candidate) {
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(b.file.ScannedAt.Compare(a.file.ScannedAt), cmp.Compare(a.name, b.name))
	})
}

// maxLikely bounds the reports that are read for one image because of its tags, and maxBroken those that are
// read for what is left of them.
const maxLikely, maxBroken = 32, 8

// choice is which reports have to be read for an image.
type choice struct {
	read     []candidate
	failures []error
	// doubted are kinds of which a newer report is broken: what an older one has not found may be there now.
	doubted []verdict.Kind
}

// choose picks of each kind the newest sure report, and those of the same moment; where there is none, the
// likely ones, which tell at least what they have found: all of them, for a clean report of what bears the
// tag today must not hide what was found in what bore it before. Broken ones that none of these makes up for
// are read for what is left of them.
func choose(found []candidate) *choice {
	chosen := &choice{}
	for _, kind := range verdict.Kinds() {
		newest := newestSure(found, kind)
		chosen.take(newest...)
		if len(newest) == 0 {
			chosen.takeLikely(found, kind)
		}
		for i := range found {
			c := &found[i]
			if c.file.Broken == "" || !c.tells(kind) {
				continue
			}
			if len(newest) == 0 || c.certainty == sure && c.file.ScannedAt.After(newest[0].file.ScannedAt) {
				chosen.takeBroken(c)
				chosen.doubted = append(chosen.doubted, kind)
			}
		}
	}
	chosen.takePartly(found)
	return chosen
}

func newestSure(newestFirst []candidate, kind verdict.Kind) []candidate {
	var newest []candidate
	for _, c := range newestFirst {
		if c.reads(sure, kind) && (len(newest) == 0 || c.file.ScannedAt.Equal(newest[0].file.ScannedAt)) {
			newest = append(newest, c)
		}
	}
	return newest
}

func (c *choice) takeLikely(newestFirst []candidate, kind verdict.Kind) {
	taken := 0
	for _, report := range newestFirst {
		if !report.reads(likely, kind) {
			continue
		}
		if taken++; taken > maxLikely {
			c.failures = append(c.failures, fmt.Errorf("more than %d reports may be about the image; what older ones have found is not known. Remove them, or name the image by its ID", maxLikely))
			return
		}
		c.take(report)
	}
}

// takePartly takes the reports that skipped something. What they have found may count beside the rest;
// verdict.Merge decides.
func (c *choice) takePartly(newestFirst []candidate) {
	taken := 0
	for _, report := range newestFirst {
		if report.file.Broken == "" && len(report.file.Partly) > 0 && taken < maxLikely {
			taken++
			c.take(report)
		}
	}
}

func (c *choice) takeBroken(report *candidate) {
	broken := 0
	for i := range c.read {
		if c.read[i].file.Broken != "" {
			broken++
		}
	}
	if broken == maxBroken && !c.takes(report) {
		c.failures = append(c.failures, errors.New(report.file.Broken))
		return
	}
	c.take(*report)
}

func (c *choice) take(reports ...candidate) {
	for _, report := range reports {
		if !c.takes(&report) {
			c.read = append(c.read, report)
		}
	}
}

func (c *choice) takes(report *candidate) bool {
	return slices.ContainsFunc(c.read, func(other candidate) bool { return other.name == report.name })
}

// shown takes out of what the reports say that they show the image clean of the kinds in doubt. A broken
// report that could be read after all leaves no doubt.
func (c *choice) shown(parts []*verdict.Verdict) []*verdict.Verdict {
	for _, part := range parts {
		if part != nil && len(c.failures) > 0 {
			part.Scanned = slices.DeleteFunc(part.Scanned, func(kind verdict.Kind) bool { return slices.Contains(c.doubted, kind) })
		}
	}
	return parts
}

// reads says whether the report can be read, is as certainly about the image, and has looked for the kind.
func (c *candidate) reads(certain certainty, kind verdict.Kind) bool {
	return c.file.Broken == "" && c.certainty == certain && slices.Contains(c.file.Scanned, kind)
}

// tells says whether a broken report may be about the kind; one that was never read may be about all.
func (c *candidate) tells(kind verdict.Kind) bool {
	return len(c.file.Scanned) == 0 || slices.Contains(c.file.Scanned, kind)
}

// remark logs, once for each report and image, why the report does not count in full. The caller holds
// the lock.
func (f *Folder) remark(name string, image scanner.Image, certain certainty, why string) {
	if why == "" {
		return
	}
	if key := name + " " + image.ID + " " + why; !f.told.Contains(key) {
		f.told.Add(key, struct{}{})
		log := f.options.Log.WithFields(logrus.Fields{"report": name, "image": image.ID})
		if certain == no {
			log.Info("report is not used: " + why)
			return
		}
		log.Warn("what the report has found counts, but it does not show the image clean: " + why)
	}
}
