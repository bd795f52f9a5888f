// Package harbor answers: what does a vulnerability report in the media type of Harbor's scanner adapters
// say?
package harbor

import (
	"cmp"
	"errors"
	"strings"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// MediaType of the report that Read takes.
const MediaType = "application/vnd.security.vulnerability.report; version=1.1"

// Read reads one report.
func Read(s *formats.Stream) (*formats.Report, error) {
	var generatedAt string
	var artifact struct {
		Repository string `json:"repository"`
		Digest     string `json:"digest"`
		Tag        string `json:"tag"`
	}
	var scanner struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	var findings formats.Findings
	listed := false
	err := s.Object(func(key string) error {
		switch key {
		case "generated_at":
			return s.Into(&generatedAt)
		case "artifact":
			return s.Into(&artifact)
		case "scanner":
			return s.Into(&scanner)
		case "vulnerabilities":
			listed = true
			return s.Array(func() error {
				var v vulnerability
				if err := s.Into(&v); err != nil {
					return err
				}
				findings.Add(v.entry())
				return nil
			})
		}
		return s.Skip()
	})
	if err == nil && !listed {
		err = errors.New("no list of vulnerabilities; it is not a vulnerability report")
	}
	report := &formats.Report{Verdict: verdict.Verdict{
		Scanner: verdict.Scanner{Name: scanner.Name, Version: scanner.Version}, ScannedAt: formats.Time(generatedAt),
		Scanned: []verdict.Kind{verdict.KindVulnerabilities}, Vulnerabilities: findings.List(),
	}, Warnings: findings.Warnings()}
	if report.Verdict.Scanner.Name == "" {
		report.Verdict.Scanner.Name = "Harbor adapter"
	}
	if artifact.Digest != "" {
		report.About.Digests = []string{artifact.Digest}
	} else if artifact.Repository != "" && artifact.Tag != "" {
		report.About.Tags = []string{artifact.Repository + ":" + artifact.Tag}
	}
	return formats.Finished(report, cmp.Or(err, findings.Err()))
}

type vulnerability struct {
	ID         string   `json:"id"`
	Package    string   `json:"package"`
	Version    string   `json:"version"`
	FixVersion string   `json:"fix_version"`
	Severity   string   `json:"severity"`
	CWEs       []string `json:"cwe_ids"`
	CVSS       struct {
		ScoreV3  float64 `json:"score_v3"`
		ScoreV2  float64 `json:"score_v2"`
		VectorV3 string  `json:"vector_v3"`
		VectorV2 string  `json:"vector_v2"`
	} `json:"preferred_cvss"`
}

func (v *vulnerability) entry() formats.Vulnerability {
	e := formats.Vulnerability{
		ID: v.ID, Package: v.Package, Version: v.Version, Own: v.Severity, CWEs: v.CWEs, Fixed: strings.Split(v.FixVersion, ","),
	}
	for _, score := range []formats.Score{{Vector: v.CVSS.VectorV3, Base: v.CVSS.ScoreV3}, {Vector: v.CVSS.VectorV2, Base: v.CVSS.ScoreV2}} {
		if score != (formats.Score{}) {
			e.Scores = append(e.Scores, score)
		}
	}
	return e
}
