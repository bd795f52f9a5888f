package trivy_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/formats/formatstest"
	"portcullis/scanner-client/formats/trivy"
	"portcullis/scanner-client/verdict"
)

func TestReportsAreReadAsTheGoldenFilesSay(t *testing.T) { formatstest.Golden(t, trivy.Read) }

func TestADamagedReportIsNeverAShorterOne(t *testing.T) { formatstest.Refuses(t, trivy.Read) }

func FuzzRead(f *testing.F) { formatstest.Fuzz(f, trivy.Read) }

func TestAnUnknownSchemaWithoutResultsIsNotClean(t *testing.T) {
	_, err := trivy.Read(formats.NewStream(strings.NewReader(`{"SchemaVersion": 9, "Findings": []}`), 1<<20))
	require.ErrorContains(t, err, "schema version 9 is not known, and there are no Results in it")
}

func TestAnImageWithHugeLabelsOrManySecretsIsNotLost(t *testing.T) {
	huge := strings.Repeat("x", 2*formats.MaxValue)
	report, err := trivy.Read(formats.NewStream(strings.NewReader(`{"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:00", "ImageConfig": {"config": {"Labels": {"a": "`+huge+`"}}, "os": "linux", "architecture": "arm64"}},
		"Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2024-0001", "PkgName": "p"}]}]}`), 1<<30))
	require.NoError(t, err)
	require.Equal(t, formats.About{ID: "sha256:00", Platform: "linux/arm64"}, report.About)
	require.Len(t, report.Verdict.Vulnerabilities, 1)

	mild := strings.Repeat(`{"RuleID": "r", "Category": "x", "Severity": "LOW"},`, 5)
	var many strings.Builder
	for i := range verdict.MaxFindings / 2 {
		fmt.Fprintf(&many, `{"Target": "/%d", "Class": "secret", "Secrets": [%s {"RuleID": "a", "Severity": "LOW"}, {"RuleID": "b", "Severity": "LOW"}]},`, i, mild)
	}
	report, err = trivy.Read(formats.NewStream(strings.NewReader(`{"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:00"}, "Results": [`+many.String()+
		`{"Target": "/key", "Class": "secret", "Secrets": [{"RuleID": "private-key", "Severity": "CRITICAL"}]}]}`), 1<<30))
	require.ErrorIs(t, err, verdict.ErrCut)
	require.Equal(t, "sha256:00", report.About.ID)
	require.Empty(t, report.Verdict.Scanned)
	require.Len(t, report.Verdict.Secrets, verdict.MaxFindings)
	require.Equal(t, "private-key", report.Verdict.Secrets[0].Rule)
}

func TestWhatATruncatedReportHasFoundIsNotLost(t *testing.T) {
	report, err := trivy.Read(formats.NewStream(strings.NewReader(`{"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:00"},
		"Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2024-0001", "PkgName": "p"}, {"Vuln`), 1<<20))
	require.ErrorIs(t, err, formats.ErrTruncated)
	require.Equal(t, "sha256:00", report.About.ID)
	require.Len(t, report.Verdict.Vulnerabilities, 1)
	require.Empty(t, report.Verdict.Scanned)
}

// large writes a report of about size bytes, of entries like real ones, without ever holding it.
type large struct {
	size, written, number int
	pending               string
}

func (l *large) Read(p []byte) (int, error) {
	for l.pending == "" {
		switch {
		case l.number < 0:
			return 0, io.EOF
		case l.number == 0:
			l.pending = `{"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:00"}, "Results": [{"Target": "app", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [`
			l.number++
		case l.written < l.size:
			l.pending = l.entry()
			l.number++
		default:
			l.pending, l.number = `{"VulnerabilityID": "CVE-2024-0001", "PkgName": "last"}]}]}`, -1
		}
	}
	n := copy(p, l.pending)
	l.pending = l.pending[n:]
	l.written += n
	return n, nil
}

func (l *large) entry() string {
	return fmt.Sprintf(`{"VulnerabilityID": "CVE-2024-%05d", "PkgID": "package-%d@1.2.3", "PkgName": "package-%d",
		"PkgIdentifier": {"PURL": "pkg:deb/debian/package-%d@1.2.3?arch=amd64&distro=debian-12", "UID": "0123456789abcdef"},
		"InstalledVersion": "1.2.3-%d", "FixedVersion": "1.2.4", "Status": "fixed", "Layer": {"DiffID": "sha256:0123"}, "SeveritySource": "debian",
		"PrimaryURL": "https://example.com/CVE-2024-%05d", "Title": "a title", "Description": %q, "Severity": "HIGH", "CweIDs": ["CWE-79"],
		"CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}, "redhat": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}},
		"References": [%s"https://example.com"], "PublishedDate": "2024-01-02T03:04:05.678Z", "LastModifiedDate": "2024-01-02T03:04:05.678Z"},`+"\n",
		l.number, l.number%997, l.number%997, l.number%997, l.number%13, l.number,
		strings.Repeat("What an attacker can do, and where. ", 20), strings.Repeat(`"https://example.com/a/reference/of/usual/length", `, 12))
}

func TestMemoryDoesNotGrowWithTheReport(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := trivy.Read(formats.NewStream(&large{size: 16 << 20}, 1<<30))
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Greater(t, len(report.Verdict.Vulnerabilities), 5000)
	require.Less(t, int(after.Sys-before.Sys), 64<<20)
}

// The bars: under 2 s and under 400 MiB for 50 MiB. sys-MiB is all memory that the process took from the
// system.
func BenchmarkRead50MiB(b *testing.B) {
	for b.Loop() {
		l := &large{size: 50 << 20}
		report, err := trivy.Read(formats.NewStream(l, 1<<30))
		require.NoError(b, err)
		b.SetBytes(int64(l.written))
		b.ReportMetric(float64(len(report.Verdict.Vulnerabilities)), "findings")
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	b.ReportMetric(float64(stats.Sys)/(1<<20), "sys-MiB")
}
