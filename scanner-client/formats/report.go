// Package formats answers: what does another tool's report say, in our words?
//
// Each format is a package of its own below this one that reads its report from a Stream, so that a
// report of any size costs little memory. Here is what they share: the Report they make, how findings
// listed twice become one, and how severities, identifiers and package types are named.
package formats

import (
	"slices"
	"strings"
	"time"

	"portcullis/scanner-client/verdict"
)

// Report is what one report says. A reader returns one together with an error when something of the report
// could not be read: then it holds what was understood until there, which shows the image not clean, but
// which image it is about and what was found in it must not be lost with the rest.
type Report struct {
	// Format is the form that it has, such as trivy; its reader leaves that to who chose the reader.
	Format string `json:"-"`
	About  About
	// Verdict has no ImageID: which image the report is about is for About, and for who knows the
	// images, to say.
	Verdict verdict.Verdict
	// Warnings say what of the report was not understood, or does not count.
	Warnings []string
}

// About is how a report names its image. Any part may be missing.
type About struct {
	ID       string   `json:"id,omitempty"`       // "sha256:…" of the image config
	Digests  []string `json:"digests,omitempty"`  // "sha256:…" of a manifest or an index, or repository@sha256:…
	Tags     []string `json:"tags,omitempty"`     // repository:tag
	Platform string   `json:"platform,omitempty"` // os/architecture or os/architecture/variant
}

// NamesNothing says whether the report does not tell which image it is about.
func (a *About) NamesNothing() bool { return a.ID == "" && len(a.Digests) == 0 && len(a.Tags) == 0 }

// Finished is a report that was read until err, nil for its end.
func Finished(report *Report, err error) (*Report, error) {
	if err != nil {
		report.Verdict.Scanned = nil
	}
	return report, err
}

// Time reads a moment as reports write it; it is zero for anything else. There is no error, which would
// have to quote what stands there.
func Time(text string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// Platform joins what reports say apart; it is "" unless both are known.
func Platform(os, architecture, variant string) string {
	if os == "" || architecture == "" {
		return ""
	}
	// v8 is what every 64-bit ARM is, and only some tools say so.
	if variant == "" || architecture == "arm64" && variant == "v8" {
		return os + "/" + architecture
	}
	return os + "/" + architecture + "/" + variant
}

// SamePlatform compares os/architecture, and the variant where both have one.
func SamePlatform(a, b string) bool {
	partsA, partsB := strings.Split(a, "/"), strings.Split(b, "/")
	n := min(len(partsA), len(partsB))
	return n >= 2 && slices.Equal(partsA[:n], partsB[:n])
}
