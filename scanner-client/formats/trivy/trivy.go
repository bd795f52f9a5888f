// Package trivy answers: what does a report of `trivy image --format json` say?
package trivy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// schema is the version of the report that this package was written for.
const schema = 2

// Read reads one report.
//
// Trivy does not write which scanners were switched on, so a kind counts as scanned only where the
// report shows it: vulnerabilities by a result about packages, secrets by a secret.
func Read(s *formats.Stream) (*formats.Report, error) {
	r := &reader{stream: s, known: map[verdict.Secret]bool{}}
	err := s.Object(r.field)
	return r.report(err)
}

type reader struct {
	stream *formats.Stream

	schema    int
	createdAt string
	name      string
	kind      string
	trivy     struct{ Version string }
	metadata  metadata

	results  bool // there is a list of results, whatever is in it
	packages bool // one of them is about packages
	findings formats.Findings
	secrets  []verdict.Secret
	known    map[verdict.Secret]bool
}

// metadata is the part that says which image was scanned. The rest, such as the build history with
// whatever passwords it holds, is not read.
type metadata struct {
	ImageID                   string
	RepoTags                  []string
	RepoDigests               []string
	architecture, os, variant string
}

func (r *reader) field(key string) error {
	switch key {
	case "SchemaVersion":
		return r.stream.Into(&r.schema)
	case "CreatedAt":
		return r.stream.Into(&r.createdAt)
	case "ArtifactName":
		return r.stream.Into(&r.name)
	case "ArtifactType":
		return r.stream.Into(&r.kind)
	case "Trivy":
		return r.stream.Into(&r.trivy)
	case "Metadata":
		return r.stream.Object(r.image)
	case "Results":
		r.results = true
		return r.stream.Array(r.result)
	}
	return r.stream.Skip()
}

// image reads which image was scanned, name by name: the rest of it is the image's own configuration, which
// may be of any size.
func (r *reader) image(key string) error {
	switch key {
	case "ImageID":
		return r.stream.Into(&r.metadata.ImageID)
	case "RepoTags":
		return r.stream.Into(&r.metadata.RepoTags)
	case "RepoDigests":
		return r.stream.Into(&r.metadata.RepoDigests)
	case "ImageConfig":
		return r.stream.Object(func(key string) error {
			switch strings.ToLower(key) {
			case "architecture":
				return r.stream.Into(&r.metadata.architecture)
			case "os":
				return r.stream.Into(&r.metadata.os)
			case "variant":
				return r.stream.Into(&r.metadata.variant)
			}
			return r.stream.Skip()
		})
	}
	return r.stream.Skip()
}

// result reads one result: what was found in one set of packages, or in one file.
func (r *reader) result() error {
	var target, class, kind string
	var found []formats.Vulnerability
	var secrets []secret
	err := r.stream.Object(func(key string) error {
		switch key {
		case "Target":
			return r.stream.Into(&target)
		case "Class":
			return r.stream.Into(&class)
		case "Type":
			return r.stream.Into(&kind)
		case "Vulnerabilities":
			return r.stream.Array(func() error {
				var v vulnerability
				if err := r.stream.Into(&v); err != nil {
					return err
				}
				if v.Status != "not_affected" {
					found = append(found, v.entry())
				}
				if len(found) == verdict.MaxFindings { // what the result is about stands above, as Trivy writes it
					r.add(target, kind, found)
					found = found[:0]
				}
				return nil
			})
		case "Secrets":
			return r.stream.Array(func() error {
				var found secret
				if err := r.stream.Into(&found); err != nil {
					return err
				}
				secrets = append(secrets, found)
				if len(secrets) == verdict.MaxFindings {
					r.addSecrets(target, secrets)
					secrets = secrets[:0]
				}
				return nil
			})
		}
		return r.stream.Skip()
	})
	r.packages = r.packages || class == "os-pkgs" || class == "lang-pkgs"
	r.add(target, kind, found)
	r.addSecrets(target, secrets)
	return err
}

func (r *reader) add(target, kind string, found []formats.Vulnerability) {
	r.packages = r.packages || len(found) > 0
	for _, v := range found {
		if v.Type == "" {
			v.Type = formats.TypeOf(kind)
		}
		if v.Path == "" && !collective[target] {
			v.Path = target
		}
		r.findings.Add(v)
	}
}

// collective are targets that stand for many files, each named by its own package.
var collective = map[string]bool{
	"Java": true, "Node.js": true, "Python": true, "Ruby": true, "Conda": true, "PHP": true, "Rust": true, ".NET": true,
}

type vulnerability struct {
	VulnerabilityID  string
	VendorIDs        []string
	PkgName          string
	PkgPath          string
	PkgIdentifier    struct{ PURL string }
	InstalledVersion string
	FixedVersion     string
	Status           string
	Severity         string
	CweIDs           []string
	CVSS             map[string]cvss
	PublishedDate    string
}

type cvss struct {
	V2Vector, V3Vector, V40Vector string
	V2Score, V3Score, V40Score    float64
}

func (v *vulnerability) entry() formats.Vulnerability {
	e := formats.Vulnerability{
		ID: v.VulnerabilityID, Package: v.PkgName, Version: v.InstalledVersion,
		Type: formats.ParsePURL(v.PkgIdentifier.PURL).Type, Path: v.PkgPath,
		Own: v.Severity, CWEs: v.CweIDs, Fixed: strings.Split(v.FixedVersion, ","), Published: v.PublishedDate,
	}
	// Vendors' IDs are advisories such as DSA-5500-1, which may be about several weaknesses, but one
	// that is a GHSA is the same weakness.
	for _, id := range v.VendorIDs {
		if strings.HasPrefix(id, "GHSA-") || strings.Contains(id, "CVE-") {
			e.Aliases = append(e.Aliases, id)
		}
	}
	for _, c := range v.CVSS {
		for _, score := range []formats.Score{{Vector: c.V2Vector, Base: c.V2Score}, {Vector: c.V3Vector, Base: c.V3Score}, {Vector: c.V40Vector, Base: c.V40Score}} {
			if score != (formats.Score{}) {
				e.Scores = append(e.Scores, score)
			}
		}
	}
	switch v.Status {
	case "affected", "will_not_fix", "fix_deferred", "end_of_life":
		e.NoFix = true
	}
	return e
}

func (r *reader) report(err error) (*formats.Report, error) {
	secrets := verdict.Worst(r.secrets, func(s *verdict.Secret) verdict.Severity { return s.Level })
	if len(secrets) < len(r.secrets) {
		r.findings.Miss(verdict.ErrCut)
	}
	report := &formats.Report{About: r.metadata.about(), Verdict: verdict.Verdict{
		Scanner: verdict.Scanner{Name: "Trivy", Version: r.trivy.Version}, ScannedAt: formats.Time(r.createdAt),
		Vulnerabilities: r.findings.List(), Secrets: secrets,
	}, Warnings: r.findings.Warnings()}
	if report.About.NamesNothing() && r.kind == "container_image" && r.name != "" {
		report.About.Tags = []string{r.name}
	}
	if r.schema != schema {
		if err == nil && !r.results {
			err = fmt.Errorf("schema version %d is not known, and there are no Results in it; make the report with a Trivy that writes version %d", r.schema, schema)
		}
		report.Warnings = append(report.Warnings, fmt.Sprintf("schema version %d is not known; what is understood of it is used", r.schema))
	}
	if r.packages {
		report.Verdict.Scanned = append(report.Verdict.Scanned, verdict.KindVulnerabilities)
	}
	if len(r.secrets) > 0 {
		report.Verdict.Scanned = append(report.Verdict.Scanned, verdict.KindSecrets)
	}
	if len(report.Verdict.Scanned) == 0 {
		report.Warnings = append(report.Warnings, "no result about packages and no secret: Trivy does not say what it looked for, so this does not show the image clean")
	}
	return formats.Finished(report, cmp.Or(err, r.findings.Err()))
}

func (m *metadata) about() formats.About {
	return formats.About{
		ID: m.ImageID, Digests: slices.Clip(m.RepoDigests), Tags: slices.Clip(m.RepoTags),
		Platform: formats.Platform(m.os, m.architecture, m.variant),
	}
}

// secret is what is read of a leaked credential. Match and Code hold the lines it stands in and are left
// out: Trivy masks them, but not every version masks everything.
type secret struct {
	RuleID   string
	Category string
	Severity string
}

func (r *reader) addSecrets(target string, secrets []secret) {
	for _, s := range secrets {
		if s.RuleID == "" && s.Category == "" {
			r.findings.Miss(errors.New("secret without a RuleID"))
			continue
		}
		found := verdict.Secret{Path: formats.Shorten(target), Rule: formats.Shorten(s.RuleID), Type: secretType(s.Category, s.RuleID), Level: formats.Severity(s.Severity)}
		if r.known[found] { // the same rule, twice in one file
			continue
		}
		r.known[found] = true
		if len(r.secrets) == 2*verdict.MaxFindings {
			r.findings.Miss(verdict.ErrCut)
			r.secrets = verdict.Worst(r.secrets, func(s *verdict.Secret) verdict.Severity { return s.Level })
			clear(r.known)
		}
		r.secrets = append(r.secrets, found)
	}
}
