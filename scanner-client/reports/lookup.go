package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// Verdict merges what the newest reports of each kind say about the image. A report about it that has
// become unreadable is a failure and not unscanned, unless another covers the same.
func (f *Folder) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	chosen, failures := choose(f.candidates(image))
	var parts []*verdict.Verdict
	for _, c := range chosen {
		report, err := f.read(ctx, c.name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // taken away since the last Refresh; the next will tell
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			failures = append(failures, err)
		default:
			parts = append(parts, f.speaksOf(image, &report.About, &report.Verdict))
		}
	}
	var err error
	if len(failures) > 0 {
		err = fmt.Errorf("%w: %w", scanner.ErrUnreadable, errors.Join(failures...))
	}
	v := verdict.Merge(parts...)
	if v == nil && err == nil {
		err = f.nothing()
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
			certain, why := about(&file.About, image, f.options.Platform)
			f.remark(name, image, certain, why)
			if certain != no {
				found = append(found, candidate{name, file, certain})
			}
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(b.file.ScannedAt.Compare(a.file.ScannedAt), cmp.Compare(a.name, b.name))
	})
	return found
}

// choose returns the reports that have to be read: of each kind the newest, and those of the same
// moment. Of kinds that no sure report covers, a likely one tells at least what it has found. Broken
// ones about such kinds are failures.
func choose(found []candidate) (chosen []candidate, failures []error) {
	readable := slices.DeleteFunc(slices.Clone(found), func(c candidate) bool { return c.file.Broken != "" })
	take := func(kind verdict.Kind, wanted certainty) {
		var newest *candidate
		for i := range readable {
			c := &readable[i]
			if c.certainty != wanted || !slices.Contains(c.file.Scanned, kind) {
				continue
			}
			if newest == nil {
				newest = c
			}
			if c.file.ScannedAt.Equal(newest.file.ScannedAt) && !slices.ContainsFunc(chosen, func(o candidate) bool { return o.name == c.name }) {
				chosen = append(chosen, *c)
			}
		}
	}
	open := slices.DeleteFunc(verdict.Kinds(), func(kind verdict.Kind) bool { return covered(readable, kind) })
	for _, kind := range verdict.Kinds() {
		if slices.Contains(open, kind) {
			take(kind, likely)
		} else {
			take(kind, sure)
		}
	}
	for _, c := range readable { // what they have found may count beside the rest: verdict.Merge decides
		if len(c.file.Partly) > 0 && !slices.ContainsFunc(chosen, func(o candidate) bool { return o.name == c.name }) {
			chosen = append(chosen, c)
		}
	}
	for _, c := range found {
		if c.file.Broken != "" && c.tells(open) {
			failures = append(failures, errors.New(c.file.Broken))
		}
	}
	return chosen, failures
}

// tells says whether the report may be about any of the kinds; one that was never read may be about all.
func (c *candidate) tells(kinds []verdict.Kind) bool {
	return slices.ContainsFunc(kinds, func(kind verdict.Kind) bool {
		return len(c.file.Scanned) == 0 || slices.Contains(c.file.Scanned, kind)
	})
}

// speaksOf returns what a report says of the image, nil for nothing. The report may be another than the
// one that was indexed under the name.
func (f *Folder) speaksOf(image scanner.Image, report *formats.About, v *verdict.Verdict) *verdict.Verdict {
	certain, _ := about(report, image, f.options.Platform)
	if certain == no {
		return nil
	}
	v.ImageID = image.ID
	if certain == likely {
		v.Scanned = nil
	}
	if len(v.Scanned)+len(v.Vulnerabilities)+len(v.Malware)+len(v.Secrets) == 0 {
		return nil
	}
	return v
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
