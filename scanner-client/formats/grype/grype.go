// Package grype answers: what does a report of `grype IMAGE -o json` say?
package grype

import (
	"cmp"
	"errors"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// Read reads one report. What the user's ignore rules or a VEX document have taken out stands under
// ignoredMatches and stays out.
func Read(s *formats.Stream) (*formats.Report, error) {
	r := &reader{stream: s}
	err := s.Object(r.field)
	return r.report(err)
}

type reader struct {
	stream *formats.Stream

	matches    bool
	findings   formats.Findings
	about      formats.About
	descriptor descriptor
}

// descriptor leaves out the configuration, which may hold registry credentials.
type descriptor struct {
	Name      string    `json:"name"`
	Version   string    `json:"version"`
	Timestamp string    `json:"timestamp"`
	DB        *database `json:"db"`
}

// database is what older and newer versions say of the vulnerability database.
type database struct {
	Built  string `json:"built"`
	Status struct {
		Built string `json:"built"`
	} `json:"status"`
}

func (r *reader) field(key string) error {
	switch key {
	case "matches":
		r.matches = true
		return r.stream.Array(func() error {
			var m match
			if err := r.stream.Into(&m); err != nil {
				return err
			}
			r.findings.Add(m.entry())
			return nil
		})
	case "source":
		return r.source()
	case "descriptor":
		return r.stream.Into(&r.descriptor)
	}
	return r.stream.Skip()
}

// source reads what was scanned. Its target is an object for images and a path for everything else. The
// target repeats the image's own manifest and configuration, which may be of any size.
func (r *reader) source() error {
	var kind, os, architecture, variant, manifest string
	var about formats.About
	target := map[string]any{
		"imageID": &about.ID, "tags": &about.Tags, "repoDigests": &about.Digests, "manifestDigest": &manifest,
		"os": &os, "architecture": &architecture, "variant": &variant,
	}
	err := r.stream.Object(func(key string) error {
		switch key {
		case "type":
			return r.stream.Into(&kind)
		case "target":
			return r.stream.Members(func(key string) error {
				if field, wanted := target[key]; wanted {
					return r.stream.Into(field)
				}
				return r.stream.Skip()
			})
		}
		return r.stream.Skip()
	})
	if kind != "image" {
		return err
	}
	if manifest != "" {
		about.Digests = append(about.Digests, manifest)
	}
	about.Platform = formats.Platform(os, architecture, variant)
	r.about = about
	return err
}

type match struct {
	Vulnerability vulnerability   `json:"vulnerability"`
	Related       []vulnerability `json:"relatedVulnerabilities"`
	Artifact      artifact        `json:"artifact"`
}

type vulnerability struct {
	ID             string     `json:"id"`
	Severity       string     `json:"severity"`
	CVSS           []cvss     `json:"cvss"`
	KnownExploited []struct{} `json:"knownExploited"`
	CWEs           []struct {
		CWE string `json:"cwe"`
	} `json:"cwes"`
	Fix fix `json:"fix"`
}

type cvss struct {
	Vector  string `json:"vector"`
	Metrics struct {
		BaseScore float64 `json:"baseScore"`
	} `json:"metrics"`
}

type fix struct {
	Versions  []string `json:"versions"`
	State     string   `json:"state"`
	Available []struct {
		Date string `json:"date"`
	} `json:"available"`
}

type artifact struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Type      string `json:"type"`
	PURL      string `json:"purl"`
	Locations []struct {
		Path string `json:"path"`
	} `json:"locations"`
}

func (m *match) entry() formats.Vulnerability {
	own, purl := &m.Vulnerability, formats.ParsePURL(m.Artifact.PURL)
	e := formats.Vulnerability{
		ID: own.ID, Package: m.Artifact.Name, Version: m.Artifact.Version, Type: purl.Type,
		Own: own.Severity, Scores: own.scores(),
		Fixed: own.Fix.Versions, NoFix: own.Fix.State == "not-fixed" || own.Fix.State == "wont-fix",
	}
	if e.Type == "" {
		e.Type = formats.TypeOf(m.Artifact.Type)
	}
	if purl.Type == "maven" && purl.Name == e.Package {
		e.Package = purl.FullName()
	}
	for _, available := range own.Fix.Available {
		if at := formats.Time(available.Date); !at.IsZero() && (e.FixedAt == "" || at.Before(formats.Time(e.FixedAt))) {
			e.FixedAt = available.Date
		}
	}
	for _, location := range m.Artifact.Locations {
		if e.Path == "" || location.Path < e.Path {
			e.Path = location.Path
		}
	}
	for _, v := range append([]vulnerability{*own}, m.Related...) {
		e.Aliases = append(e.Aliases, v.ID)
		e.KnownExploited = e.KnownExploited || len(v.KnownExploited) > 0
		for _, weakness := range v.CWEs {
			e.CWEs = append(e.CWEs, weakness.CWE)
		}
		if len(e.Scores) == 0 { // the distribution's own record seldom has one, NVD's has
			e.Scores = v.scores()
		}
	}
	return e
}

func (v *vulnerability) scores() []formats.Score {
	var scores []formats.Score
	for _, c := range v.CVSS {
		scores = append(scores, formats.Score{Vector: c.Vector, Base: c.Metrics.BaseScore})
	}
	return scores
}

func (r *reader) report(err error) (*formats.Report, error) {
	if err == nil && !r.matches {
		err = errors.New("no list of matches; write the report with grype -o json")
	}
	report := &formats.Report{About: r.about, Verdict: verdict.Verdict{
		Scanner: verdict.Scanner{Name: "Grype", Version: r.descriptor.Version}, ScannedAt: formats.Time(r.descriptor.Timestamp),
		Scanned: []verdict.Kind{verdict.KindVulnerabilities}, Vulnerabilities: r.findings.List(),
	}, Warnings: r.findings.Warnings()}
	if db := r.descriptor.DB; db != nil {
		report.Verdict.Scanner.Database = db.Built
		if db.Status.Built != "" {
			report.Verdict.Scanner.Database = db.Status.Built
		}
	}
	return formats.Finished(report, cmp.Or(err, r.findings.Err()))
}
