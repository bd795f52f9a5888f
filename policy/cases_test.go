package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/policy/policytest"
)

func TestCases(t *testing.T) {
	results, err := policytest.Run("testdata/cases")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(results), 150)
	for _, r := range results {
		t.Run(filepath.Base(r.File), func(t *testing.T) {
			require.NoError(t, r.Err)
			require.Empty(t, r.Differences, r.Note)
		})
	}
}

// Every file in testdata/invalid begins with the exact message as a comment.
func TestInvalidDocumentsAreRefusedWithTheirMessage(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var want []string
			for line := range strings.Lines(string(data)) {
				message, ok := strings.CutPrefix(line, "# ")
				if !ok {
					break
				}
				want = append(want, strings.TrimSpace(message))
			}
			_, err = policy.Parse(policy.Source{Name: filepath.Base(file), Data: data})
			require.EqualError(t, err, strings.Join(want, "\n"))
		})
	}
}
