package policytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/policy/policytest"
)

const passing = `note: a critical is blocked
policies: |
  apiVersion: portcullis/v1
  kind: ImagePolicy
  metadata: {name: p}
  spec:
    template: RiskyImage
    enabled: true
    effect: {mode: Immediate}
    risk: {vulnerabilities: {}}
    scope: {images: {all: true}}
verdict: {vulnerabilities: [{id: CVE-2026-0001, severity: Critical, package: a, version: "1"}]}
container: {image: {id: "sha256:a"}}
at: 2026-11-23T12:00:00Z
want: {action: Block, policies: [p], evidence: {p: [CVE-2026-0001 a]}}
`

// run runs one case, given as changes of the passing one.
func run(t *testing.T, text string) policytest.Result {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "case.yaml"), []byte(text), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("no case"), 0o600))
	results, err := policytest.Run(dir)
	require.NoError(t, err)
	require.Len(t, results, 1)
	return results[0]
}

func TestACaseThatHoldsPasses(t *testing.T) {
	require.True(t, run(t, passing).Passed())
}

func TestEveryDifferenceIsNamed(t *testing.T) {
	r := run(t, passing[:len(passing)-len("want: {action: Block, policies: [p], evidence: {p: [CVE-2026-0001 a]}}\n")]+
		"want: {action: Alert, reason: clean, policies: [p, q], evidence: {p: [CVE-1 b]}, exempted: {e: [x]}, enforceAt: 2026-12-01T00:00:00Z}\n")
	require.False(t, r.Passed())
	require.NoError(t, r.Err)
	require.Equal(t, []string{
		"action: want alert, got block",
		"reason: want clean, got policy",
		"policies: want p, q, got p",
		"evidence of p: want CVE-1 b, got CVE-2026-0001 a",
		"exempted: want map[e:[x]], got map[]",
		"enforceAt: want 2026-12-01 00:00:00 +0000 UTC, got 0001-01-01 00:00:00 +0000 UTC",
	}, r.Differences)
}

func TestABrokenCaseSaysWhereItIsBroken(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "case.yaml: file is empty; write at least one document or remove the file",
		passing + "---\n" + passing:        "case.yaml: holds several documents; write one case per file, its policies below policies: |",
		passing + "wants: {}\n":            "case.yaml:16: wants: unknown key; check the spelling and the indentation",
		"note: x\nwant: {action: Block}\n": "case.yaml:1: at: required; write the time of the decision, such as 2027-03-01T00:00:00Z",
		"note: x\nat: 2026-11-23T12:00:00Z\nwant: {action: Deny}\n":                                                        "case.yaml:3: want.action: required; write Allow, Alert or Block",
		"note: x\nat: 2026-11-23T12:00:00Z\nwant: {action: Allow}\n":                                                       "case.yaml(policies): file is empty; write at least one document or remove the file",
		passing + "failed: true\ndefaults: {unscanned: Perhaps}\n":                                                         `default for what is unknown: unknown value "Perhaps"; write one of Allow, Alert, Block`,
		strings.Replace(passing, `container: {image: {id: "sha256:a"}}`, `container: {config: {image: {imagge: x}}}`, 1):   "container.config: ",
		strings.Replace(passing, `container: {image: {id: "sha256:a"}}`, `container: {sandbox: {linux: {sysctl: {}}}}`, 1): "container.sandbox: ",
		strings.Replace(passing, "verdict: {", "verdict: {scaned: [], ", 1):                                                `verdict: json: unknown field "scaned"`,
		strings.Replace(passing, "severity: Critical", "severity: Grave", 1):                                               `verdict: unknown severity "Grave"`,
	} {
		r := run(t, text)
		require.False(t, r.Passed())
		require.ErrorContains(t, r.Err, want)
	}
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	_, err := policytest.Run(filepath.Join(t.TempDir(), "missing"))
	require.ErrorContains(t, err, "cases: ")
}
