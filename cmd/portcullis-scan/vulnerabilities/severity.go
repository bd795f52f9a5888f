package vulnerabilities

import (
	"slices"
	"strings"

	"github.com/ossf/osv-schema/bindings/go/osvschema"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"
	"google.golang.org/protobuf/types/known/structpb"

	"portcullis/scanner-client/verdict"
)

// ratings are the words that databases have for severities.
var ratings = map[string]verdict.Severity{
	"CRITICAL": verdict.Critical, "HIGH": verdict.High, "IMPORTANT": verdict.High,
	"MEDIUM": verdict.Medium, "MODERATE": verdict.Medium, "LOW": verdict.Low,
	"NEGLIGIBLE": verdict.Negligible, "UNIMPORTANT": verdict.Negligible,
}

// severityOf returns the database's own rating, else that of the CVSS score. A package that is malware
// by itself has neither.
func severityOf(advisory *osvschema.Vulnerability, affected []*osvschema.Affected) verdict.Severity {
	if strings.HasPrefix(advisory.GetId(), "MAL-") {
		return verdict.Critical
	}
	scores := advisory.GetSeverity()
	words := []string{field(advisory.GetDatabaseSpecific(), "severity")}
	for _, a := range affected {
		scores = slices.Concat(a.GetSeverity(), scores)
		words = append(words, field(a.GetDatabaseSpecific(), "severity"), field(a.GetEcosystemSpecific(), "severity"), field(a.GetEcosystemSpecific(), "urgency"))
	}
	for _, s := range scores {
		if s.GetType() == osvschema.Severity_Ubuntu {
			words = append(words, s.GetScore())
		}
	}
	for _, word := range words {
		if rating, known := ratings[strings.ToUpper(strings.TrimRight(word, "*"))]; known {
			return rating
		}
	}
	return worstScore(scores)
}

// worstScore returns the band of the CVSS score; version 4 counts before version 3.
func worstScore(scores []*osvschema.Severity) verdict.Severity {
	for _, version := range []osvschema.Severity_Type{osvschema.Severity_CVSS_V4, osvschema.Severity_CVSS_V3} {
		worst := verdict.Unknown
		for _, s := range scores {
			if s.GetType() == version {
				worst = max(worst, band(baseScore(s.GetScore())))
			}
		}
		if worst > verdict.Unknown {
			return worst
		}
	}
	return verdict.Unknown
}

func baseScore(vector string) float64 {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := cvss40.ParseVector(vector); err == nil {
			return v.Score()
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := cvss31.ParseVector(vector); err == nil {
			return v.BaseScore()
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := cvss30.ParseVector(vector); err == nil {
			return v.BaseScore()
		}
	}
	return 0
}

func band(score float64) verdict.Severity {
	switch {
	case score >= 9:
		return verdict.Critical
	case score >= 7:
		return verdict.High
	case score >= 4:
		return verdict.Medium
	case score > 0:
		return verdict.Low
	}
	return verdict.Unknown
}

// overNetwork says whether a weakness can be reached through the network.
func overNetwork(scores []*osvschema.Severity) bool {
	for _, s := range scores {
		if strings.Contains(s.GetScore()+"/", "/AV:N/") {
			return true
		}
	}
	return false
}

func field(s *structpb.Struct, name string) string { return s.GetFields()[name].GetStringValue() }
