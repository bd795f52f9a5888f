// Package osvscanner answers: what does a report of `osv-scanner scan image --format json` say?
package osvscanner

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// Read reads one report. OSV-Scanner writes neither which image it scanned nor when, so both come from
// the file that the report is in.
func Read(s *formats.Stream) (*formats.Report, error) {
	r := &reader{stream: s}
	err := s.Object(r.field)
	if err == nil && !r.results {
		err = errors.New("no list of results; write the report with osv-scanner scan image --format json")
	}
	report := &formats.Report{Verdict: verdict.Verdict{
		Scanner: verdict.Scanner{Name: "OSV-Scanner"}, Scanned: []verdict.Kind{verdict.KindVulnerabilities},
		Vulnerabilities: r.findings.List(),
	}, Warnings: r.findings.Warnings()}
	return formats.Finished(report, cmp.Or(err, r.findings.Err()))
}

type reader struct {
	stream   *formats.Stream
	results  bool
	findings formats.Findings
}

func (r *reader) field(key string) error {
	if key != "results" {
		return r.stream.Skip()
	}
	r.results = true
	return r.stream.Array(r.source)
}

// source reads the packages of one file, or of the operating system.
func (r *reader) source() error {
	var source struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	var packages []entry
	records := 0
	add := func() {
		for _, p := range packages {
			p.add(&r.findings, source.Path)
		}
		packages, records = packages[:0], 0
	}
	err := r.stream.Object(func(key string) error {
		switch key {
		case "source":
			return r.stream.Into(&source)
		case "packages":
			return r.stream.Array(func() error {
				p, err := r.packageEntry()
				packages = append(packages, p)
				// What the packages were found in stands above, as OSV-Scanner writes it.
				if records += 1 + len(p.records); records >= verdict.MaxFindings {
					add()
				}
				return err
			})
		}
		return r.stream.Skip()
	})
	add()
	return err
}

// entry is one package with what is known against it.
type entry struct {
	Package struct {
		Name      string `json:"name"`
		OSName    string `json:"os_package_name"`
		Version   string `json:"version"`
		Ecosystem string `json:"ecosystem"`
		Commit    string `json:"commit"`
	}
	records []record
	groups  []group
}

// group is the records about one weakness.
type group struct {
	IDs         []string `json:"ids"`
	Aliases     []string `json:"aliases"`
	MaxSeverity string   `json:"max_severity"`
}

// packageEntry reads one package. The packages of a kernel have thousands of records, each of many
// kilobytes, so they are not kept as they come.
func (r *reader) packageEntry() (entry, error) {
	var p entry
	err := r.stream.Object(func(key string) error {
		switch key {
		case "package":
			return r.stream.Into(&p.Package)
		case "vulnerabilities":
			return r.stream.Array(func() error {
				var v vulnerability
				if err := r.stream.Into(&v); err != nil {
					return err
				}
				switch {
				case v.Withdrawn != "":
				case len(p.records) == verdict.MaxFindings:
					r.findings.Miss(fmt.Errorf("more than %d vulnerabilities of one package", verdict.MaxFindings))
				default:
					p.records = append(p.records, v.record())
				}
				return nil
			})
		case "groups":
			return r.stream.Into(&p.groups)
		}
		return r.stream.Skip()
	})
	return p, err
}

// vulnerability is what is read of one OSV record.
type vulnerability struct {
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Upstream  []string `json:"upstream"`
	Published string   `json:"published"`
	Withdrawn string   `json:"withdrawn"`
	Severity  []struct {
		Type  string `json:"type"`
		Score string `json:"score"`
	} `json:"severity"`
	Affected []affected `json:"affected"`
	Database struct {
		Severity any      `json:"severity"` // a word in most databases, a list of scores in some
		CWEs     []string `json:"cwe_ids"`
	} `json:"database_specific"`
}

type affected struct {
	Package struct {
		Name      string `json:"name"`
		Ecosystem string `json:"ecosystem"`
	} `json:"package"`
	Ranges []struct {
		Type   string `json:"type"`
		Events []struct {
			Fixed string `json:"fixed"`
		} `json:"events"`
	} `json:"ranges"`
	Ecosystem struct {
		Severity any `json:"severity"`
		Urgency  any `json:"urgency"`
	} `json:"ecosystem_specific"`
}

// record is the part of a vulnerability that is kept.
type record struct {
	finding formats.Vulnerability
	fixed   []fixedIn
}

// fixedIn is a version that repairs a package. A record may be about several packages, and about one in
// several releases of a distribution.
type fixedIn struct{ name, ecosystem, version string }

func (v *vulnerability) record() record {
	r := record{finding: formats.Vulnerability{
		ID: v.ID, Aliases: v.aliases(), CWEs: v.Database.CWEs, Published: v.Published,
	}}
	for _, s := range v.Severity {
		if strings.HasPrefix(s.Type, "CVSS_") {
			r.finding.Scores = append(r.finding.Scores, formats.Score{Vector: s.Score})
		} else { // a distribution's own word: Ubuntu
			r.finding.Own = s.Score
		}
	}
	if word, ok := v.Database.Severity.(string); ok && formats.Severity(word) != verdict.Unknown {
		r.finding.Own = word
	}
	for _, a := range v.Affected {
		if formats.Severity(r.finding.Own) == verdict.Unknown {
			r.finding.Own = a.worst()
		}
		for _, versions := range a.Ranges {
			for _, event := range versions.Events {
				if event.Fixed != "" && versions.Type != "GIT" {
					r.fixed = append(r.fixed, fixedIn{a.Package.Name, a.Package.Ecosystem, event.Fixed})
				}
			}
		}
	}
	return r
}

// worst is the worse of the two words that distributions rate an affected package with.
func (a *affected) worst() string {
	severity, _ := a.Ecosystem.Severity.(string)
	urgency, _ := a.Ecosystem.Urgency.(string)
	if formats.Severity(urgency) > formats.Severity(severity) {
		return urgency
	}
	return severity
}

// aliases are the other names of the same weakness. A distribution's record calls the CVE that it is
// about its upstream; an advisory with several upstreams is several weaknesses, and keeps its own name.
func (v *vulnerability) aliases() []string { return slices.Concat(v.Aliases, v.Upstream) }

// add makes one finding of each group of records: the same weakness, in the words of several databases.
func (p *entry) add(findings *formats.Findings, path string) {
	group := map[string]int{}
	for i := range p.groups {
		for _, id := range p.groups[i].IDs {
			group[id] = i + 1
		}
	}
	members := map[int][]record{}
	for i, r := range p.records {
		g := group[r.finding.ID]
		if g == 0 { // on its own
			g = -1 - i
		}
		members[g] = append(members[g], r)
	}
	for _, g := range slices.Sorted(maps.Keys(members)) {
		finding := p.joined(members[g])
		if g > 0 {
			finding.Aliases = append(finding.Aliases, p.groups[g-1].Aliases...)
			if finding.Own == "" && len(finding.Scores) == 0 {
				finding.Scores = []formats.Score{{Base: number(p.groups[g-1].MaxSeverity)}}
			}
		}
		finding.Path = path
		findings.Add(finding)
	}
}

// joined makes one finding of records about the same weakness.
func (p *entry) joined(records []record) formats.Vulnerability {
	finding := formats.Vulnerability{
		ID: records[0].finding.ID, Package: p.Package.Name, Version: p.Package.Version, Type: formats.TypeOf(p.Package.Ecosystem),
	}
	if p.Package.OSName != "" { // the package that is installed; Name is what it was built from
		finding.Package = p.Package.OSName
	}
	if finding.Version == "" {
		finding.Version = p.Package.Commit
	}
	for _, r := range records {
		finding.Aliases = append(append(finding.Aliases, r.finding.ID), r.finding.Aliases...)
		if formats.Severity(r.finding.Own) > formats.Severity(finding.Own) {
			finding.Own = r.finding.Own
		}
		finding.Scores = append(finding.Scores, r.finding.Scores...)
		finding.CWEs = append(finding.CWEs, r.finding.CWEs...)
		finding.Fixed = append(finding.Fixed, p.fixes(r.fixed)...)
		if finding.Published == "" || r.finding.Published != "" && r.finding.Published < finding.Published {
			finding.Published = r.finding.Published
		}
	}
	return finding
}

// fixes returns the versions that repair this very package, in this release of the distribution.
func (p *entry) fixes(fixed []fixedIn) []string {
	var versions []string
	for _, f := range fixed {
		if f.name == p.Package.Name && sameEcosystem(f.ecosystem, p.Package.Ecosystem) {
			versions = append(versions, f.version)
		}
	}
	return versions
}

// sameEcosystem compares names such as Debian:12, of which either may say less: Ubuntu:22.04 and
// Ubuntu:22.04:LTS.
func sameEcosystem(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+":") || strings.HasPrefix(b, a+":")
}

func number(text string) float64 {
	var value float64
	if _, err := fmt.Sscanf(text, "%g", &value); err != nil {
		return 0
	}
	return value
}
