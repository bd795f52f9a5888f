package formats_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

func gather(t *testing.T, entries ...formats.Vulnerability) []verdict.Vulnerability {
	t.Helper()
	var findings formats.Findings
	for _, e := range entries {
		require.NoError(t, findings.Add(e))
	}
	return findings.List()
}

func TestTheSameWeaknessByTwoPathsAndTwoNamesIsOneFinding(t *testing.T) {
	found := gather(t,
		formats.Vulnerability{ID: "GHSA-a", Aliases: []string{"CVE-2024-0001"}, Package: "p", Version: "1", Type: "npm", Path: "z", Own: "low", CWEs: []string{"CWE-2"}, NoFix: true, Published: "2026-02-01"},
		formats.Vulnerability{ID: "CVE-2024-0001", Package: "p", Version: "1", Type: "npm", Path: "a", Own: "high", CWEs: []string{"CWE-1"}, Fixed: []string{"2", " 2", ""}, Published: "2026-01-01"},
		formats.Vulnerability{ID: "CVE-2024-0001", Package: "p", Version: "2", Type: "npm"},
	)
	require.Len(t, found, 2)
	require.Equal(t, verdict.Vulnerability{
		ID: "CVE-2024-0001", Aliases: []string{"GHSA-a"}, Severity: verdict.High, Package: "p", Version: "1", FixedVersion: "2",
		Type: "npm", Path: "a", CWEs: []int{1, 2}, Labels: []string{formats.LabelFixable, formats.LabelLanguage}, PublishedAt: formats.Time("2026-01-01"),
	}, found[0])
}

func TestTheOrderOfAReportMakesNoDifference(t *testing.T) {
	a := formats.Vulnerability{ID: "CVE-2024-0001", Package: "p", Version: "1", Path: "b"}
	b := formats.Vulnerability{ID: "CVE-2024-0001", Package: "p", Version: "1", Path: "a", Fixed: []string{"3"}}
	c := formats.Vulnerability{ID: "CVE-2024-0001", Package: "o"}
	require.Equal(t, gather(t, a, b, c), gather(t, c, b, a))
}

func TestAnEntryThatCannotBeAFindingIsAnErrorAndNotNothing(t *testing.T) {
	long := strings.Repeat("x", formats.MaxText+1)
	for want, e := range map[string]formats.Vulnerability{
		"without an ID":     {Package: "p"},
		"without a package": {ID: "CVE-2024-0001"},
		"a text of 4097":    {ID: "CVE-2024-0001", Package: long},
		"an alias of 4097":  {ID: "CVE-2024-0001", Package: "p", Aliases: []string{long}},
	} {
		var findings formats.Findings
		require.ErrorContains(t, findings.Add(e), want)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var findings formats.Findings
	for i := range verdict.MaxFindings {
		require.NoError(t, findings.Add(formats.Vulnerability{ID: fmt.Sprint(i), Package: "p"}))
	}
	require.ErrorContains(t, findings.Add(formats.Vulnerability{ID: "one more", Package: "p"}), "more than 100000")
	require.NoError(t, findings.Add(formats.Vulnerability{ID: "1", Package: "p"}), "known already")

	var aliases, cwes []string
	for i := range 1000 {
		aliases, cwes = append(aliases, fmt.Sprint("alias-", i)), append(cwes, fmt.Sprint(i))
	}
	found := gather(t, formats.Vulnerability{ID: "a", Package: "p", Aliases: aliases, CWEs: cwes})
	require.Len(t, found[0].Aliases, 64)
	require.Len(t, found[0].CWEs, 64)
}

func TestPathsOfSystemPackagesSayNothing(t *testing.T) {
	require.Empty(t, gather(t, formats.Vulnerability{ID: "a", Package: "p", Type: "deb", Path: "/var/lib/dpkg/status"})[0].Path)
}
