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
type Findings struct {
	list  []verdict.Vulnerability
	place map[findingKey]int
}

type findingKey struct{ id, name, version, purlType string }

// maxNames bounds the aliases and the CWEs of one finding.
const maxNames = 64

// Add takes one entry. An entry that names no weakness or no package is an error, because a report
// whose findings cannot be read must not look clean.
func (f *Findings) Add(v Vulnerability) error {
	id, aliases := Identify(v.ID, v.Aliases...)
	switch {
	case id == "":
		return errors.New("vulnerability without an ID")
	case v.Package == "":
		return errors.New("vulnerability without a package name")
	}
	finding := verdict.Vulnerability{
		ID: id, Aliases: aliases[:min(len(aliases), maxNames)], Severity: Rate(v.Own, v.Scores...),
		Package: v.Package, Version: v.Version, FixedVersion: joinVersions(v.Fixed), Type: v.Type,
		CWEs: weaknesses(v.CWEs), Labels: v.labels(), PublishedAt: Time(v.Published), FixedAt: Time(v.FixedAt),
	}
	if !osTypes[v.Type] {
		finding.Path = v.Path
	}
	if err := checkTexts(&finding); err != nil {
		return err
	}
	key := findingKey{id, v.Package, v.Version, v.Type}
	if i, known := f.place[key]; known {
		join(&f.list[i], &finding)
		return nil
	}
	if len(f.list) == verdict.MaxFindings {
		return fmt.Errorf("more than %d vulnerabilities", verdict.MaxFindings)
	}
	if f.place == nil {
		f.place = map[findingKey]int{}
	}
	f.place[key] = len(f.list)
	f.list = append(f.list, finding)
	return nil
}

// List returns the findings, sorted, so that the same report always makes the same verdict.
func (f *Findings) List() []verdict.Vulnerability {
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
	return numbers[:min(len(numbers), maxNames)]
}

// joinVersions writes the versions that repair a weakness as one text, each once.
func joinVersions(versions []string) string {
	var kept []string
	for _, version := range versions {
		if version = strings.TrimSpace(version); version != "" && !slices.Contains(kept, version) {
			kept = append(kept, version)
		}
	}
	return strings.Join(kept[:min(len(kept), maxNames)], ", ")
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func checkTexts(v *verdict.Vulnerability) error {
	for _, text := range []string{v.ID, v.Package, v.Version, v.FixedVersion, v.Type, v.Path} {
		if len(text) > MaxText {
			return fmt.Errorf("vulnerability with a text of %d bytes, more than %d", len(text), MaxText)
		}
	}
	for _, alias := range v.Aliases {
		if len(alias) > MaxText {
			return fmt.Errorf("vulnerability with an alias of %d bytes, more than %d", len(alias), MaxText)
		}
	}
	return nil
}
