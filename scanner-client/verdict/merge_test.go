package verdict_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/verdict"
)

// scan is a verdict of a day in November that has looked for kinds and found these CVEs.
func scan(name string, day int, kinds []verdict.Kind, cves ...string) *verdict.Verdict {
	v := &verdict.Verdict{
		ImageID: id, Scanner: verdict.Scanner{Name: name, Version: "1"}, Scanned: kinds,
		ScannedAt: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC),
	}
	for _, cve := range cves {
		v.Vulnerabilities = append(v.Vulnerabilities, verdict.Vulnerability{ID: cve, Package: "p"})
	}
	return v
}

func TestAnOlderScanDoesNotAddWhatTheNewerNoLongerFinds(t *testing.T) {
	vulnerabilities := []verdict.Kind{verdict.KindVulnerabilities}
	merged := verdict.Merge(scan("a", 1, vulnerabilities, "CVE-1-1"), scan("b", 2, vulnerabilities, "CVE-1-2"))
	require.Len(t, merged.Vulnerabilities, 1)
	require.Equal(t, "CVE-1-2", merged.Vulnerabilities[0].ID)
	require.Equal(t, "b", merged.Scanner.Name)
}

func TestANewerScanOfOtherKindsDoesNotHideFindings(t *testing.T) {
	malware := scan("clam", 2, []verdict.Kind{verdict.KindMalware})
	malware.Malware = []verdict.Malware{{Path: "/x"}}
	merged := verdict.Merge(malware, scan("a", 1, []verdict.Kind{verdict.KindVulnerabilities}, "CVE-1-1"))
	require.Len(t, merged.Vulnerabilities, 1)
	require.Len(t, merged.Malware, 1)
	require.Equal(t, []verdict.Kind{verdict.KindVulnerabilities, verdict.KindMalware}, merged.Scanned)
	require.Equal(t, "a 1, clam 1", merged.Scanner.Name)
	require.Equal(t, 1, merged.ScannedAt.Day(), "the verdict is as old as its oldest part")
}

func TestAScanThatProvesNothingAddsFindingsButNotCleanness(t *testing.T) {
	merged := verdict.Merge(scan("tag", 2, nil, "CVE-1-1"), scan("tag", 1, nil, "CVE-1-2"))
	require.Len(t, merged.Vulnerabilities, 2)
	require.Empty(t, merged.Scanned)
	merged = verdict.Merge(merged, scan("sure", 1, []verdict.Kind{verdict.KindVulnerabilities}))
	require.Empty(t, merged.Vulnerabilities, "who has looked at this very image knows better")
}

func TestReportsOfTheSameTagDoNotListAFindingTwice(t *testing.T) {
	merged := verdict.Merge(scan("tag", 2, nil, "CVE-1-1", "CVE-1-2"), scan("tag", 1, nil, "CVE-1-2", "CVE-1-3"))
	require.Len(t, merged.Vulnerabilities, 3)
}

func TestOfTwoScansOfTheSameMomentTheOneThatFoundMoreCounts(t *testing.T) {
	clean, dirty := scan("a", 1, verdict.Kinds()), scan("b", 1, verdict.Kinds(), "CVE-1-1")
	require.Len(t, verdict.Merge(clean, dirty).Vulnerabilities, 1)
	require.Len(t, verdict.Merge(dirty, clean).Vulnerabilities, 1)
}

func TestNothingMergedIsNoVerdict(t *testing.T) {
	require.Nil(t, verdict.Merge())
	require.Nil(t, verdict.Merge(nil, nil))
	one := scan("a", 1, verdict.Kinds())
	require.Same(t, one, verdict.Merge(nil, one))
	require.Equal(t, "a", verdict.Merge(scan("a", 1, nil), scan("b", 1, nil)).Scanner.Name)
}
