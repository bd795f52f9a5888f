package reports_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/reports"
	"portcullis/scanner-client/scannertest"
	"portcullis/scanner-client/verdict"
)

const limit = 1 << 20

func importText(text string) (*formats.Report, error) {
	return reports.Import(strings.NewReader(text), time.Time{}, limit)
}

func TestTheFormatIsToldByContentWhateverTheOrderOfItsKeys(t *testing.T) {
	for format := range renderers {
		document := render(t, format, scannertest.Verdict(1, 1, "CVE-2026-0001"))
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(document, &members))
		for first := range members {
			rest := []string{`"scanner": {"name": "x"}`}
			for key, value := range members {
				if key != first {
					rest = append(rest, `"`+key+`": `+string(value))
				}
			}
			text := "\xef\xbb\xbf{" + `"` + first + `": ` + string(members[first]) + ", " + strings.Join(rest, ", ") + "}\n"
			report, err := importText(text)
			require.NoError(t, err, "%s, %s first", format, first)
			require.Len(t, report.Verdict.Vulnerabilities, 1)
		}
	}
}

func TestWhatIsNoReportSaysWhatToWriteInstead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":                 {"", "truncated or empty"},
		"only space":            {" \n", "truncated or empty"},
		"not JSON":              {"hello", "not a report: invalid character"},
		"a list":                {`[{"Target": "x"}]`, "not a report: is a list, not an object"},
		"null":                  {"null", "not a report that is known"},
		"no key":                {"{}", "write the JSON of Trivy, Grype, OSV-Scanner, CycloneDX or Harbor"},
		"SARIF":                 {`{"version": "2.1.0", "runs": []}`, "SARIF: not a report that is known"},
		"SPDX":                  {`{"spdxVersion": "SPDX-2.3"}`, "SPDX: not a report that is known"},
		"two reports":           {`{"results": []}{"results": []}`, "OSV-Scanner report: more than one JSON value"},
		"wrong type":            {`{"SchemaVersion": "2"}`, "Trivy report: SchemaVersion: json: cannot unmarshal string"},
		"wrong type inside":     {`{"Results": [{}, {"Vulnerabilities": {}}]}`, "Trivy report: Results[1].Vulnerabilities: is an object, not a list"},
		"no findings at all":    {`{"descriptor": {}}`, "Grype report: no list of matches"},
		"finding unnamed":       {`{"matches": [{}]}`, "Grype report: vulnerability without an ID"},
		"own form, unknown key": {`{"apiVersion": "portcullis/v1", "kind": "Verdict", "vulns": []}`, `Portcullis report: not a verdict: json: unknown field "vulns"`},
		"too large":             {`{"x": "` + strings.Repeat("a", limit) + `", "results": []}`, "larger than the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := importText(c.text)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestManyOrLongNamesOfAnImageDoNotSwitchItsReportOff(t *testing.T) {
	long := strings.Repeat("a", 5000)
	report, err := importText(`{"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:00", "RepoTags": ["` + long + `",` + strings.Repeat(`"a",`, 2000) + `"a"], "RepoDigests": ["` + long + `"]}, "Results": []}`)
	require.NoError(t, err)
	require.Equal(t, "sha256:00", report.About.ID)
	require.Len(t, report.About.Tags, 1000)
	require.Empty(t, report.About.Digests)
	require.Contains(t, report.Warnings[1], "1 names of the image are left out")
	report, err = importText(`{"SchemaVersion": 2, "Metadata": {"ImageID": "` + long + `"}, "Results": []}`)
	require.NoError(t, err)
	require.True(t, report.About.NamesNothing())
}

func TestOfADamagedVerdictTheImageIsStillKnown(t *testing.T) {
	for _, rest := range []string{
		`"vulns": []}`,
		`"scanner": {"name": "x"}, "scannedAt": "2026-11-02T00:00:00Z", "scanned": ["vulnerabilities"], "vulnerabilities": [{"id": "CVE-2026-`,
		`"filler": "` + strings.Repeat("x", limit) + `"}`,
	} {
		report, err := importText(`{"apiVersion": "portcullis/v1", "kind": "Verdict", "imageID": "` + config + `", ` + rest)
		require.Error(t, err)
		require.Equal(t, config, report.About.ID)
		require.Empty(t, report.Verdict.Scanned)
	}
}

func TestAnUnknownVersionIsUsedAsFarAsItIsUnderstoodWithAWarning(t *testing.T) {
	for text, want := range map[string]string{
		`{"SchemaVersion": 7, "Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-0001", "PkgName": "p", "New": {}}]}], "Newer": [{}]}`: "schema version 7 is not known",
		`{"bomFormat": "CycloneDX", "specVersion": "3.1", "vulnerabilities": [{"id": "CVE-2026-0001", "new": [1]}], "blueprints": {"x": [1, 2]}}`:                      `specification version "3.1" is not known`,
	} {
		report, err := importText(text)
		require.NoError(t, err)
		require.Len(t, report.Verdict.Vulnerabilities, 1)
		require.True(t, report.Verdict.Covers(verdict.KindVulnerabilities))
		require.Contains(t, report.Warnings[0], want)
	}
}

func FuzzImport(f *testing.F) {
	paths, err := filepath.Glob("../formats/*/testdata/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, paths)
	for _, path := range paths {
		document, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		report, err := reports.Import(bytes.NewReader(document), time.Unix(1, 0), limit)
		if err != nil {
			require.True(t, report == nil || len(report.Verdict.Scanned) == 0)
			return
		}
		require.False(t, report.Verdict.ScannedAt.IsZero() && len(report.Verdict.Scanned) == 0)
		require.NotEmpty(t, report.Verdict.Scanner.Name)
	})
}
