package vulnerabilities

import (
	"slices"
	"strings"

	"github.com/ossf/osv-schema/bindings/go/osvschema"
	"google.golang.org/protobuf/types/known/structpb"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// severityOf returns the database's own rating, else that of the CVSS score. A package that is malware
// by itself has neither.
func severityOf(advisory *osvschema.Vulnerability, affected []*osvschema.Affected) verdict.Severity {
	if strings.HasPrefix(advisory.GetId(), "MAL-") {
		return verdict.Critical
	}
	words := []string{field(advisory.GetDatabaseSpecific(), "severity")}
	for _, a := range affected {
		words = append(words, field(a.GetDatabaseSpecific(), "severity"), field(a.GetEcosystemSpecific(), "severity"), field(a.GetEcosystemSpecific(), "urgency"))
	}
	all := severities(advisory, affected)
	for _, s := range all {
		if s.GetType() == osvschema.Severity_Ubuntu {
			words = append(words, s.GetScore())
		}
	}
	for _, word := range words {
		// Debian marks what was rated by a rule and not by a person with asterisks.
		if rating := formats.Severity(strings.TrimRight(word, "*")); rating != verdict.Unknown {
			return rating
		}
	}
	return formats.Rate("", scores(all)...)
}

// severities are those of the advisory and of the packages that it is about.
func severities(advisory *osvschema.Vulnerability, affected []*osvschema.Affected) []*osvschema.Severity {
	all := advisory.GetSeverity()
	for _, a := range affected {
		all = slices.Concat(a.GetSeverity(), all)
	}
	return all
}

// scores are the CVSS vectors; whatever else a severity is does not read as one.
func scores(severities []*osvschema.Severity) []formats.Score {
	list := make([]formats.Score, len(severities))
	for i, s := range severities {
		list[i].Vector = s.GetScore()
	}
	return list
}

func field(s *structpb.Struct, name string) string { return s.GetFields()[name].GetStringValue() }
