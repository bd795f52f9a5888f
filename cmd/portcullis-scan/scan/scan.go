// Package scan answers: what is risky in this image?
package scan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/malware"
	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/cmd/portcullis-scan/vulnerabilities"
	"portcullis/scanner-client/verdict"
)

// Options say what to look for, and with what.
type Options struct {
	Kinds        []verdict.Kind
	AllowPartial bool // a kind that cannot be looked for is left out instead of an error
	// AcceptSkipped counts a kind as scanned although something of it was skipped.
	AcceptSkipped bool
	Advisories    vulnerabilities.Advisories
	Without       []string // OSV ecosystems whose packages are left out
	Clamd         malware.Clamd
	SkipLarger    int64 // bytes of files that clamd is not shown; 0 shows it all
	Limits        rootfs.Limits
	Temp          string // folder on disk
	Version       string // of this program
	Now           func() time.Time
	Progress      Progress
}

// Progress is told how far a scan is.
type Progress interface {
	// Step begins a part of the work that reads so many bytes.
	Step(name string, bytes int64)
	// Read says that so many more bytes were read.
	Read(bytes int)
}

// Result is a verdict, and what it does not tell.
type Result struct {
	Verdict *verdict.Verdict
	// NotScanned says why a kind that was asked for is not in the verdict's Scanned.
	NotScanned []error
	// Problems are what was passed over, in words for people.
	Problems []string
	Files    int
	Packages int
}

// look is how one kind of risk is looked for.
type look interface {
	kind() verdict.Kind
	// check finds out early whether it can be done at all.
	check(ctx context.Context) error
	begin(ctx context.Context, img *image.Image, tree *rootfs.Tree) (rootfs.Inspector, error)
	// finish adds the findings when all files have been inspected.
	finish(ctx context.Context, r *Result) error
	close()
}

// Run scans an image.
func Run(ctx context.Context, img *image.Image, options Options) (*Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &Result{Verdict: &verdict.Verdict{
		ImageID:   img.ID,
		Scanner:   verdict.Scanner{Name: "portcullis-scan", Version: options.Version},
		ScannedAt: options.Now().UTC().Truncate(time.Second),
	}}
	looks := makeLooks(options)
	defer func() {
		cancel() // nobody waits for clamd after an error
		for _, l := range looks {
			l.close()
		}
	}()
	guards := make([]*guard, len(looks))
	for i, l := range looks {
		guards[i] = &guard{look: l, partial: options.AllowPartial, acceptSkipped: options.AcceptSkipped}
		if err := guards[i].step(l.check(ctx)); err != nil {
			return nil, err
		}
	}
	if err := inspect(ctx, img, guards, r, options); err != nil {
		return nil, err
	}
	for _, g := range guards {
		if err := g.finish(ctx, r); err != nil {
			return nil, err
		}
	}
	return r, r.complete()
}

// inspect shows the image's files to all who look.
func inspect(ctx context.Context, img *image.Image, guards []*guard, r *Result, options Options) error {
	var stored int64
	for _, layer := range img.Layers {
		stored += layer.Size
	}
	options.Progress.Step("reading names", stored)
	tree, err := rootfs.Build(ctx, img, options.Limits, options.Progress.Read)
	if err != nil {
		return err
	}
	r.Files = tree.Files()
	inspectors := make([]rootfs.Inspector, len(guards))
	for i, g := range guards {
		if err := g.begin(ctx, img, tree); err != nil {
			return err
		}
		inspectors[i] = g
	}
	options.Progress.Step("reading files", stored)
	if err := tree.Read(ctx, img, inspectors, options.Progress.Read); err != nil {
		return err
	}
	options.Progress.Step("judging", 0)
	return nil
}

// complete makes sure that the verdict says something.
func (r *Result) complete() error {
	if len(r.Verdict.Scanned)+len(r.Verdict.Skipped) == 0 {
		return errors.Join(append([]error{errors.New("no kind of risk could be looked for")}, r.NotScanned...)...)
	}
	return nil
}

// skip records what was not looked at of a kind.
func (r *Result) skip(kind verdict.Kind, format string, arguments ...any) {
	r.Verdict.Skipped = append(r.Verdict.Skipped, verdict.Skipped{Kind: kind, What: fmt.Sprintf(format, arguments...)})
}

// leftOut records how many findings did not fit. A policy may be about one of them, so they are as good as
// not looked for.
func (r *Result) leftOut(kind verdict.Kind, omitted int) {
	if omitted > 0 {
		r.skip(kind, "about %d findings, the mildest, which are more than a verdict holds", omitted)
	}
}

// Worst returns the highest severity of all findings, and how many findings there are.
func (r *Result) Worst() (worst verdict.Severity, findings int) {
	v := r.Verdict
	for _, f := range v.Vulnerabilities {
		worst = max(worst, f.Severity)
	}
	for _, f := range v.Malware {
		worst = max(worst, f.Severity)
	}
	for _, f := range v.Secrets {
		worst = max(worst, f.Level)
	}
	return worst, len(v.Vulnerabilities) + len(v.Malware) + len(v.Secrets)
}

// database adds what a kind was looked for with.
func (r *Result) database(name string) {
	s := &r.Verdict.Scanner
	s.Database = strings.Trim(s.Database+"; "+name, "; ")
}
