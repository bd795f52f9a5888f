package formats

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"portcullis/scanner-client/verdict"
)

// Vulnerability is one entry of a report before it is a finding: what the tool wrote, where it is known.
type Vulnerability struct {
	ID      string
	Aliases []string
	Package string
	Version string
	Type    string // purl type
	Path    string // file in the image; of no use for packages of the operating system
	Own     string // the tool's own rating, in its words
	Scores  []Score
	CWEs    []string
	Fixed   []string // versions that repair it
	NoFix   bool     // the tool knows that there is no such version
	// KnownExploited says that the tool found it in a list of weaknesses that are in use.
	KnownExploited bool
	Published      string
	FixedAt        string
}

// Findings gathers the vulnerabilities of one report. The same weakness of the same package is one
// finding, however many paths, layers or databases the report lists it by.
//
// Whoever makes an image has a say in what its report looks like, so no entry takes the others away: what is
// too long is shortened, of too many the worst are kept, and Err says that something is missing.
type Findings struct {
	list      []verdict.Vulnerability
	place     map[findingKey]int
	shortened int
	err       error
}

type findingKey struct{ id, name, version, purlType string }

// maxNames bounds the aliases and the CWEs of one finding.
const maxNames = 64

// Add takes one entry.
func (f *Findings) Add(v Vulnerability) {
	id, aliases := Identify(v.ID, v.Aliases...)
	switch {
	case id == "":
		f.Miss(errors.New("vulnerability without an ID"))
		return
	case v.Package == "":
		f.Miss(errors.New("vulnerability without a package name"))
		return
	}
	finding := verdict.Vulnerability{
		ID: id, Aliases: slices.Clone(aliases[:min(len(aliases), maxNames)]), Severity: Rate(v.Own, v.Scores...),
		Package: v.Package, Version: v.Version, FixedVersion: joinVersions(v.Fixed), Type: v.Type,
		CWEs: weaknesses(v.CWEs), Labels: v.labels(), PublishedAt: Time(v.Published), FixedAt: Time(v.FixedAt),
	}
	if !osTypes[v.Type] {
		finding.Path = v.Path
	}
	f.shorten(&finding)
	key := keyOf(&finding)
	if i, known := f.place[key]; known {
		join(&f.list[i], &finding)
		return
	}
	if len(f.list) == 2*verdict.MaxFindings {
		f.keepWorst()
	}
	if f.place == nil {
		f.place = map[findingKey]int{}
	}
	f.place[key] = len(f.list)
	f.list = append(f.list, finding)
}

func keyOf(v *verdict.Vulnerability) findingKey {
	return findingKey{v.ID, v.Package, v.Version, v.Type}
}

// Miss says that something of the report is not among the findings. The first reason is kept.
func (f *Findings) Miss(err error) {
	if f.err == nil {
		f.err = err
	}
}

// Err is why the findings are not all that the report should say, nil when they are.
func (f *Findings) Err() error { return f.err }

// Warnings say what of the findings is not as the report has it.
func (f *Findings) Warnings() []string {
	if f.shortened == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d texts of more than %d bytes are shortened", f.shortened, MaxText)}
}

func (f *Findings) shorten(v *verdict.Vulnerability) {
	for _, text := range []*string{&v.ID, &v.Package, &v.Version, &v.FixedVersion, &v.Type, &v.Path} {
		f.shortenText(text)
	}
	for i := range v.Aliases {
		f.shortenText(&v.Aliases[i])
	}
}

func (f *Findings) shortenText(text *string) {
	if short := Shorten(*text); short != *text {
		*text = short
		f.shortened++
	}
}

// Shorten cuts a text that is too long for a finding.
func Shorten(text string) string {
	if len(text) <= MaxText {
		return text
	}
	const mark = "…"
	return strings.ToValidUTF8(text[:MaxText-len(mark)], "") + mark
}

// keepWorst makes room when there are too many findings.
func (f *Findings) keepWorst() {
	if len(f.list) <= verdict.MaxFindings {
		return
	}
	f.Miss(verdict.ErrCut)
	f.list = verdict.Worst(f.list, func(v *verdict.Vulnerability) verdict.Severity { return v.Severity })
	f.place = make(map[findingKey]int, len(f.list))
	for i := range f.list {
		f.place[keyOf(&f.list[i])] = i
	}
}

// List returns the findings, sorted, so that the same report always makes the same verdict.
func (f *Findings) List() []verdict.Vulnerability {
	f.keepWorst()
	slices.SortFunc(f.list, func(a, b verdict.Vulnerability) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Type, b.Type))
	})
	f.place = nil
	return f.list
}

func (v *Vulnerability) labels() []string {
	var labels []string
	add := func(label string, holds bool) {
		if holds && label != "" {
			labels = append(labels, label)
		}
	}
	fixable := joinVersions(v.Fixed) != ""
	add(LabelFixable, fixable)
	add(LabelNoFix, v.NoFix && !fixable)
	add(LabelNetwork, Reachable(v.Scores...))
	add(LabelKnownExploited, v.KnownExploited)
	add(packageLabel(v.Type), true)
	return labels
}

// join adds to finding what a second entry about the same weakness of the same package knows more.
func join(finding, more *verdict.Vulnerability) {
	finding.Severity = max(finding.Severity, more.Severity)
	finding.Aliases = union(finding.Aliases, more.Aliases)
	finding.CWEs = union(finding.CWEs, more.CWEs)
	finding.Labels = union(finding.Labels, more.Labels)
	if finding.FixedVersion == "" {
		finding.FixedVersion = more.FixedVersion
	}
	if finding.FixedVersion != "" {
		finding.Labels = slices.DeleteFunc(finding.Labels, func(label string) bool { return label == LabelNoFix })
	}
	if more.Path != "" && (finding.Path == "" || more.Path < finding.Path) {
		finding.Path = more.Path
	}
	finding.PublishedAt = earlier(finding.PublishedAt, more.PublishedAt)
	finding.FixedAt = earlier(finding.FixedAt, more.FixedAt)
}

func union[T cmp.Ordered](a, b []T) []T {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxNames)]
}

func weaknesses(texts []string) []int {
	var numbers []int
	for _, text := range texts {
		if number := CWE(text); number > 0 {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	return slices.Clone(numbers[:min(len(numbers), maxNames)])
}

// joinVersions writes the versions that repair a weakness as one text, each once.
func joinVersions(versions []string) string {
	var kept []string
	for _, version := range versions {
		if version = strings.TrimSpace(version); version != "" && !slices.Contains(kept, version) {
			kept = append(kept, version)
		}
		if len(kept) == maxNames {
			break
		}
	}
	return strings.Join(kept, ", ")
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
