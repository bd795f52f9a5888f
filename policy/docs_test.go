package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/policy/policytest"
)

func TestTheExamplesInTheDocsWork(t *testing.T) {
	page, err := os.ReadFile("../docs/policies.md")
	require.NoError(t, err)
	dir, run := t.TempDir(), 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		if strings.HasPrefix(string(block[1]), "note:") {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "case.yaml"), block[1], 0o600))
			run++
			continue
		}
		_, err := policy.Parse(policy.Source{Name: "docs/policies.md", Data: block[1]})
		require.NoError(t, err)
	}
	results, err := policytest.Run(dir)
	require.NoError(t, err)
	require.Len(t, results, run)
	for _, r := range results {
		require.True(t, r.Passed(), "%v %v", r.Err, r.Differences)
	}
}

// The page lists what the catalogue lists.
func TestTheDocsNameEveryClassLabelAndType(t *testing.T) {
	page, err := os.ReadFile("../docs/policies.md")
	require.NoError(t, err)
	names := append(policy.Labels(), append(policy.MalwareTypes(), policy.SecretTypes()...)...)
	for _, class := range policy.Classes() {
		names = append(names, class.Name)
	}
	for _, name := range names {
		require.Contains(t, string(page), "`"+name+"`")
	}
}
