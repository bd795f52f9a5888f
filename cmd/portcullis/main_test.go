package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const observing = `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Observe, days: 7}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no privileges}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  scope: {images: {select: ["registry.example.com/shop/*"]}}
---
apiVersion: portcullis/v1
kind: Exemption
metadata: {name: old}
spec: {reason: reviewed, author: me@example.com, expires: 2020-01-01T00:00:00Z, findings: [CVE-2021-44228]}
`

var imageID = "sha256:" + strings.Repeat("a", 64)

// call runs the command line on files written into a folder of their own; DIR in arguments is that folder.
func call(t *testing.T, files map[string]string, arguments ...string) (code int, out, errOut string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	for i := range arguments {
		arguments[i] = strings.ReplaceAll(arguments[i], "DIR", dir)
	}
	var stdout, stderr bytes.Buffer
	code = run(arguments, &stdout, &stderr)
	return code, strings.ReplaceAll(stdout.String(), dir, "DIR"), strings.ReplaceAll(stderr.String(), dir, "DIR")
}

func TestCheckSaysEveryMistakeWithItsPlace(t *testing.T) {
	code, out, _ := call(t, map[string]string{"p.yaml": strings.Replace(observing, "days: 7", "days: 0", 1) + "more: 1\n"}, "policy", "check", "DIR/p.yaml")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "DIR/p.yaml:8: spec.effect.days: required with mode Observe, and more than 0; write 1 to 365 days of observation\n")
	require.Contains(t, out, "DIR/p.yaml:25: more: unknown key")

	code, out, _ = call(t, map[string]string{"p.yaml": "kind: Policy\n"}, "policy", "check", "DIR", "-o", "json")
	require.Equal(t, exitFailed, code)
	var result checked
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.False(t, result.Valid)
	require.Equal(t, 1, result.Mistakes[0].Line)
}

func TestCheckPraisesWhatIsRightAndWarnsOfWhatHasNoEffect(t *testing.T) {
	code, out, _ := call(t, map[string]string{"p.yaml": observing}, "policy", "check", "DIR/p.yaml")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, `warning: exemption "old" expired on 2020-01-01T00:00:00Z and has no effect`)
	require.Contains(t, out, "valid: 2 policies, 1 exemptions, revision ")
}

func TestStatusSaysWhatIsInForce(t *testing.T) {
	code, out, _ := call(t, map[string]string{"p.yaml": observing}, "policy", "status", "DIR")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "no criticals   RiskyImage       observes 7 days, then blocks\n")
	require.Contains(t, out, "no privileges  PrivilegedStart  blocks\n")
	require.Contains(t, out, "old        expired, has no effect  2020-01-01T00:00:00Z")
	_, out, _ = call(t, map[string]string{"p.yaml": observing}, "policy", "status", "DIR", "-o", "yaml")
	require.Contains(t, out, "state: expired, has no effect")
}

const container = `
image: {id: "IMAGE", tags: ["registry.example.com/shop/cart:1"]}
sandbox: {metadata: {name: cart, namespace: shop}}
config: {metadata: {name: app}, linux: {security_context: {capabilities: {add_capabilities: [SYS_ADMIN]}, masked_paths: [/proc/kcore], readonly_paths: [/proc/sys]}}}
`

const verdictFile = `{"apiVersion": "portcullis/v1", "kind": "Verdict", "imageID": "IMAGE", "scanner": {"name": "test"},
 "scannedAt": "2026-11-01T00:00:00Z", "scanned": ["vulnerabilities"],
 "vulnerabilities": [{"id": "CVE-2021-44228", "severity": "Critical", "package": "log4j-core", "version": "2.14.1", "type": "maven"}]}`

func files() map[string]string {
	return map[string]string{
		"p.yaml": observing, "c.yaml": strings.ReplaceAll(container, "IMAGE", imageID), "v.json": strings.ReplaceAll(verdictFile, "IMAGE", imageID),
	}
}

func TestExplainTellsWhatEachPolicyMadeOfTheContainer(t *testing.T) {
	code, out, _ := call(t, files(), "policy", "explain", "DIR/p.yaml", "--container", "DIR/c.yaml", "--verdict", "DIR/v.json", "--at", "2026-11-23T00:00:00Z")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, `block: policy "no privileges": asks for SYS_ADMIN`)
	require.Contains(t, out, `policy "no criticals" alerts until 2026-11-30T00:00:00Z, then blocks: CVE-2021-44228 Critical in log4j-core 2.14.1 (no fix yet)`)
	require.Contains(t, out, `policy "no privileges" blocks: asks for SYS_ADMIN`)

	_, out, _ = call(t, files(), "policy", "explain", "DIR/p.yaml", "--container", "DIR/c.yaml")
	require.Contains(t, out, `policy "no criticals" applies, and allows that nothing is known of the image's vulnerabilities`)
}

func TestExplainRefusesWhatDoesNotFitTogether(t *testing.T) {
	mixed := files()
	mixed["c.yaml"] = strings.ReplaceAll(container, "IMAGE", "sha256:other")
	code, _, errOut := call(t, mixed, "policy", "explain", "DIR/p.yaml", "--container", "DIR/c.yaml", "--verdict", "DIR/v.json")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "the verdict is about image "+imageID+` and the container runs "sha256:other"; set image.id in DIR/c.yaml`)

	code, _, errOut = call(t, files(), "policy", "explain", "DIR/p.yaml", "--container", "DIR/c.yaml", "--at", "noon")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, `--at: "noon" is not a time such as 2027-03-01T00:00:00Z`)
}

func TestCasesThatFailSayWhatWasDifferent(t *testing.T) {
	const one = `
note: a privileged container is blocked
at: 2026-11-23T00:00:00Z
policies: |
  apiVersion: portcullis/v1
  kind: ImagePolicy
  metadata: {name: no privileges}
  spec: {template: PrivilegedStart, enabled: true, effect: {mode: Immediate}, scope: {images: {all: true}}}
container:
  image: {id: "sha256:1"}
  config: {linux: {security_context: {privileged: true}}}
want: {action: WANT, policies: [no privileges]}
`
	code, out, _ := call(t, map[string]string{"a.yaml": strings.Replace(one, "WANT", "Block", 1)}, "policy", "test", "DIR")
	require.Equal(t, exitOK, code, out)
	require.Equal(t, "1 passed, 0 failed\n", out)

	code, out, _ = call(t, map[string]string{"a.yaml": strings.Replace(one, "WANT", "Alert", 1)}, "policy", "test", "DIR")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "FAILED DIR/a.yaml: a privileged container is blocked\n  action: want alert, got block\n0 passed, 1 failed\n")

	code, _, errOut := call(t, nil, "policy", "test", "DIR")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "DIR holds no case files")
}

func TestParametersAndSchemaAreComplete(t *testing.T) {
	_, out, _ := call(t, nil, "policy", "parameters")
	for _, line := range []string{"high-risk  privileged ", "basic      run-as-root ", "by name only"} {
		require.Contains(t, out, line)
	}
	_, out, _ = call(t, nil, "policy", "schema")
	published, err := os.ReadFile("../../docs/policy.schema.json")
	require.NoError(t, err)
	require.Equal(t, string(published), out, "run: go run ./cmd/portcullis policy schema > docs/policy.schema.json")
}

func TestWrongUsageIsAnError(t *testing.T) {
	for _, c := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"polcy"}, `unknown command "polcy"`},
		{[]string{"policy", "chek"}, `unknown command "chek"`},
		{[]string{"policy", "check"}, "requires at least 1 arg"},
		{[]string{"policy", "check", "DIR/nowhere"}, "DIR/nowhere does not exist; name a YAML file or a folder"},
		{[]string{"policy", "parameters", "-o", "xml"}, `unknown output format "xml"; write table, json, yaml`},
		{[]string{"policy", "explain", "DIR"}, `required flag(s) "container" not set`},
	} {
		code, _, errOut := call(t, nil, c.arguments...)
		require.Equal(t, exitUsage, code, c.arguments)
		require.Contains(t, errOut, c.want)
	}
}

func TestScanSaysWhereItsProgramShouldBe(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	code, _, errOut := call(t, nil, "scan", "--help")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "portcullis-scan is neither beside this program nor on PATH")
}

func TestTenThousandPoliciesInOneFolderAreCheckedTogether(t *testing.T) {
	many := map[string]string{}
	for f := range 100 {
		var file strings.Builder
		for p := range 100 {
			fmt.Fprintf(&file, "apiVersion: portcullis/v1\nkind: ImagePolicy\nmetadata: {name: %d-%d}\nspec: {template: RiskyImage, enabled: true, effect: {mode: Immediate}, risk: {vulnerabilities: {cves: [CVE-2026-%d]}}, scope: {images: {all: true}}}\n---\n", f, p, 10000+f*100+p)
		}
		many[fmt.Sprintf("%d.yaml", f)] = strings.TrimSuffix(file.String(), "---\n")
	}
	code, out, errOut := call(t, many, "policy", "check", "DIR")
	require.Equal(t, exitOK, code, errOut)
	require.Contains(t, out, "valid: 10000 policies")
}
