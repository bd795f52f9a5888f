package vulnerabilities

import (
	"strings"
	"testing"

	"github.com/google/osv-scalibr/extractor"
	"github.com/ossf/osv-schema/bindings/go/osvschema"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"portcullis/scanner-client/verdict"
)

func advisory(t *testing.T, document string) *osvschema.Vulnerability {
	t.Helper()
	parsed := &osvschema.Vulnerability{}
	require.NoError(t, protojson.Unmarshal([]byte(document), parsed))
	return parsed
}

func TestSeverityIsTheDatabasesOwnBeforeTheScore(t *testing.T) {
	const critical, medium = `{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}`, `{"type": "CVSS_V3", "score": "CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N"}`
	for name, c := range map[string]struct {
		document string
		want     verdict.Severity
	}{
		"rating":                        {`{"severity": [` + critical + `], "database_specific": {"severity": "LOW"}}`, verdict.Low},
		"moderate":                      {`{"database_specific": {"severity": "MODERATE"}}`, verdict.Medium},
		"score of version 3.1":          {`{"severity": [` + critical + `]}`, verdict.Critical},
		"score of version 3.0":          {`{"severity": [` + medium + `]}`, verdict.Medium},
		"the worst of several":          {`{"severity": [` + medium + `, ` + critical + `]}`, verdict.Critical},
		"the worst of both versions":    {`{"severity": [` + critical + `, {"type": "CVSS_V4", "score": "CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}]}`, verdict.Critical},
		"score of the package":          {`{"affected": [{"severity": [` + critical + `]}]}`, verdict.Critical},
		"Debian's urgency":              {`{"severity": [` + critical + `], "affected": [{"ecosystem_specific": {"urgency": "unimportant"}}]}`, verdict.Negligible},
		"Debian's urgency by rule":      {`{"affected": [{"ecosystem_specific": {"urgency": "medium**"}}]}`, verdict.Medium},
		"Debian without an opinion":     {`{"severity": [` + critical + `], "affected": [{"ecosystem_specific": {"urgency": "not yet assigned"}}]}`, verdict.Critical},
		"Ubuntu's priority":             {`{"severity": [{"type": "Ubuntu", "score": "negligible"}, ` + critical + `]}`, verdict.Negligible},
		"a package that is malware":     {`{"id": "MAL-2024-1"}`, verdict.Critical},
		"a rating of another kind":      {`{"severity": [` + medium + `], "database_specific": {"severity": "7.5"}}`, verdict.Medium},
		"a score that cannot be read":   {`{"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:X"}]}`, verdict.Unknown},
		"a score of nothing":            {`{"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}]}`, verdict.Negligible},
		"nothing":                       {`{}`, verdict.Unknown},
		"a severity that is not a text": {`{"database_specific": {"severity": 5}}`, verdict.Unknown},
	} {
		parsed := advisory(t, c.document)
		require.Equal(t, c.want, severityOf(parsed, parsed.GetAffected()), name)
	}
}

func TestAnAdvisoryIsKnownByItsCVEs(t *testing.T) {
	for document, want := range map[string][2]string{
		`{"id": "GHSA-1", "aliases": ["CVE-2020-0001", "PYSEC-1"]}`:          {"CVE-2020-0001", "GHSA-1 PYSEC-1"},
		`{"id": "CVE-2020-0001", "aliases": ["GHSA-1"]}`:                     {"CVE-2020-0001", "GHSA-1"},
		`{"id": "DEBIAN-CVE-2020-0001", "upstream": ["CVE-2020-0001"]}`:      {"CVE-2020-0001", "DEBIAN-CVE-2020-0001"},
		`{"id": "ALPINE-CVE-2020-0001"}`:                                     {"CVE-2020-0001", "ALPINE-CVE-2020-0001"},
		`{"id": "DSA-1-1", "upstream": ["CVE-2020-0002", "CVE-2020-0001"]}`:  {"CVE-2020-0001 CVE-2020-0002", "DSA-1-1"},
		`{"id": "GHSA-1", "aliases": ["DEBIAN-CVE-2020-0001"]}`:              {"GHSA-1", "DEBIAN-CVE-2020-0001"},
		`{"id": "MAL-2024-1"}`:                                               {"MAL-2024-1", ""},
		`{"id": "RUSTSEC-1", "aliases": ["GHSA-1"], "upstream": ["GHSA-1"]}`: {"RUSTSEC-1", "GHSA-1"},
	} {
		ids, others := identities(advisory(t, document))
		require.Equal(t, want, [2]string{strings.Join(ids, " "), strings.Join(others, " ")}, document)
	}
}

func TestTheFixIsTheNextVersionThatIsFixed(t *testing.T) {
	document := `{"id": "X", "affected": [{"package": {"ecosystem": "npm", "name": "express"}, "ranges": [
		{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "3.2.1"}, {"introduced": "4.0.0"}, {"fixed": "4.20.0"}]},
		{"type": "SEMVER", "events": [{"introduced": "5.0.0-alpha.1"}, {"fixed": "5.0.0"}]}, {"type": "GIT", "events": [{"introduced": "0"}, {"fixed": "9999abc"}]}]},
		{"package": {"ecosystem": "npm", "name": "other"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "4.18.0"}]}]}]}`
	for version, want := range map[string]string{"3.0.0": "3.2.1", "4.17.1": "4.20.0", "5.0.0-beta.1": "5.0.0", "5.1.0": ""} {
		p := &extractor.Package{Name: "express", Version: version, PURLType: "npm"}
		require.Equal(t, want, fixedVersion(p, affectedBy(Hit{advisory(t, document), p})), version)
	}
}

func TestAdvisoriesAboutTheSameAreOneFinding(t *testing.T) {
	p := &extractor.Package{Name: "x", Version: "1.0.0", PURLType: "npm"}
	one := func(id, fixed, severity string) Hit {
		return Hit{advisory(t, `{"id": "`+id+`", "aliases": ["CVE-2020-0001"], "database_specific": {"severity": "`+severity+`"},
			"affected": [{"package": {"ecosystem": "npm", "name": "x"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "`+fixed+`"}]}]}]}`), p}
	}
	found := findings([]Hit{one("GHSA-1", "1.1.0", "LOW"), one("OTHER-2", "1.2.0", "HIGH"), one("THIRD-3", "", "")})
	require.Len(t, found, 1)
	require.Equal(t, "1.2.0", found[0].FixedVersion)
	require.Equal(t, verdict.High, found[0].Severity)
	require.Equal(t, []string{"GHSA-1", "OTHER-2", "THIRD-3"}, found[0].Aliases)
	require.Equal(t, []string{"fixable", "language-package"}, found[0].Labels)
}
