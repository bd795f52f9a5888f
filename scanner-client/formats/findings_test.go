package formats_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

func gather(t *testing.T, entries ...formats.Vulnerability) []verdict.Vulnerability {
	t.Helper()
	var findings formats.Findings
	for _, e := range entries {
		findings.Add(e)
	}
	require.NoError(t, findings.Err())
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

func TestAnEntryThatCannotBeAFindingIsAnErrorAndTheOthersStay(t *testing.T) {
	for want, e := range map[string]formats.Vulnerability{
		"without an ID":     {Package: "p"},
		"without a package": {ID: "CVE-2024-0001"},
	} {
		var findings formats.Findings
		findings.Add(e)
		findings.Add(formats.Vulnerability{ID: "CVE-2024-0002", Package: "p"})
		require.ErrorContains(t, findings.Err(), want)
		require.Len(t, findings.List(), 1)
	}
}

func TestALongTextDoesNotSwitchTheReportOff(t *testing.T) {
	long := strings.Repeat("ü", formats.MaxText)
	var findings formats.Findings
	findings.Add(formats.Vulnerability{ID: "CVE-2024-0001", Package: long, Version: long, Path: long, Fixed: []string{long}, Aliases: []string{long}, Own: "critical"})
	require.NoError(t, findings.Err())
	require.Equal(t, []string{"5 texts of more than 4096 bytes are shortened"}, findings.Warnings())
	found := findings.List()
	require.Len(t, found, 1)
	require.Equal(t, verdict.Critical, found[0].Severity)
	for _, text := range append(found[0].Aliases, found[0].Package, found[0].Version, found[0].Path, found[0].FixedVersion) {
		require.LessOrEqual(t, len(text), formats.MaxText)
		require.True(t, utf8.ValidString(text))
	}
}

func TestManyMildFindingsDoNotPushTheBadOnesOut(t *testing.T) {
	var findings formats.Findings
	for i := range 2*verdict.MaxFindings + 1 {
		own := "low"
		if i%verdict.MaxFindings == 7 {
			own = "critical"
		}
		findings.Add(formats.Vulnerability{ID: fmt.Sprint(i), Package: "p", Own: own})
	}
	findings.Add(formats.Vulnerability{ID: "7", Package: "p", Aliases: []string{"known already"}})
	require.ErrorIs(t, findings.Err(), verdict.ErrCut)
	worst := map[string]verdict.Vulnerability{}
	for _, v := range findings.List() {
		if v.Severity == verdict.Critical {
			worst[v.ID] = v
		}
	}
	require.Len(t, worst, 2)
	require.Equal(t, []string{"known already"}, worst["7"].Aliases)
	require.Len(t, findings.List(), verdict.MaxFindings)
}

func TestNamesOfOneFindingAreBounded(t *testing.T) {
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
