package main

import (
	"fmt"
	"io"
	"strings"

	"portcullis/cmd/portcullis-scan/scan"
	"portcullis/scanner-client/verdict"
)

// told is how many findings of a kind, and how many problems, the summary names; the verdict has all.
const told = 10

// summarize tells people what stands in the verdict, and what could not be looked at.
func summarize(out io.Writer, target string, r *scan.Result) {
	v := r.Verdict
	var text strings.Builder
	fmt.Fprintf(&text, "%s is %s: %d files, %d packages\n", target, v.ImageID, r.Files, r.Packages)
	var vulnerabilities, malware, secrets lines
	for _, f := range v.Vulnerabilities {
		fix := "no fix"
		if f.FixedVersion != "" {
			fix = "fixed in " + f.FixedVersion
		}
		vulnerabilities.add(f.Severity, fmt.Sprintf("%s in %s %s, %s", f.ID, f.Package, f.Version, fix))
	}
	for _, f := range v.Malware {
		malware.add(f.Severity, fmt.Sprintf("%s (%s) at %s", f.Signature, f.Type, f.Path))
	}
	for _, f := range v.Secrets {
		secrets.add(f.Level, fmt.Sprintf("%s (%s) at %s", f.Type, f.Rule, f.Path+f.History))
	}
	for _, kind := range verdict.Kinds() {
		if !v.Covers(kind) && !v.Partly(kind) {
			continue
		}
		switch kind {
		case verdict.KindVulnerabilities:
			vulnerabilities.write(&text, kind)
		case verdict.KindMalware:
			malware.write(&text, kind)
		case verdict.KindSecrets:
			secrets.write(&text, kind)
		}
	}
	for _, skipped := range v.Skipped {
		counts := "does not count as scanned (see --accept-skipped)"
		if v.Covers(skipped.Kind) {
			counts = "counts as scanned, as --accept-skipped says"
		}
		fmt.Fprintf(&text, "skipped: %s: %s; the kind %s\n", skipped.Kind, skipped.What, counts)
	}
	for _, err := range r.NotScanned {
		fmt.Fprintf(&text, "not scanned: %v\n", err)
	}
	for _, problem := range r.Problems[:min(told, len(r.Problems))] {
		fmt.Fprintf(&text, "note: %s\n", problem)
	}
	if more := len(r.Problems) - told; more > 0 {
		fmt.Fprintf(&text, "note: %d more of this kind\n", more)
	}
	fmt.Fprintf(out, "%s", printable(text.String()))
}

// lines are the findings of one kind, worst first as in the verdict.
type lines struct {
	counts [verdict.Critical + 1]int
	text   []string
}

func (l *lines) add(severity verdict.Severity, text string) {
	l.counts[severity]++
	l.text = append(l.text, fmt.Sprintf("  %-10s %s", severity, strings.ReplaceAll(text, "\n", " ")))
}

func (l *lines) write(out io.Writer, kind verdict.Kind) {
	if len(l.text) == 0 {
		fmt.Fprintf(out, "%s: none\n", kind)
		return
	}
	var counts []string
	for severity := verdict.Critical; ; severity-- {
		if n := l.counts[severity]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, severity))
		}
		if severity == verdict.Unknown {
			break
		}
	}
	fmt.Fprintf(out, "%s: %s\n", kind, strings.Join(counts, ", "))
	fmt.Fprintln(out, strings.Join(l.text[:min(told, len(l.text))], "\n"))
	if more := len(l.text) - told; more > 0 {
		fmt.Fprintf(out, "  and %d more\n", more)
	}
}
