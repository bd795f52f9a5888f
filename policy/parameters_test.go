package policy_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
)

func TestEveryCapabilityOfTheKernelStandsOnce(t *testing.T) {
	names := map[string]bool{}
	capabilities, defaults := 0, 0
	for _, p := range policy.Parameters() {
		require.False(t, names[p.Name], "%s stands twice", p.Name)
		names[p.Name] = true
		require.Contains(t, policy.ParameterClasses(), p.Class)
		require.NotEmpty(t, p.Risk, p.Name)
		require.NotEmpty(t, p.Instead, p.Name)
		if p.Capability {
			capabilities++
			if p.ByName {
				defaults++
			}
		}
	}
	require.Equal(t, 41, capabilities)
	require.Equal(t, 14, defaults)
	require.Len(t, names, 68)
}

// Every parameter has at least one case in which it is evidence and one in which a policy lists it in vain.
func TestEveryParameterHasACaseThatHitsAndOneThatDoesNot(t *testing.T) {
	files, err := os.ReadDir("testdata/cases")
	require.NoError(t, err)
	hits, passes := map[string]bool{}, map[string]bool{}
	listed := regexp.MustCompile(`parameters: \[(.*)\]`)
	for _, file := range files {
		data, err := os.ReadFile("testdata/cases/" + file.Name())
		require.NoError(t, err)
		parameters := listed.FindStringSubmatch(string(data))
		if parameters == nil {
			continue
		}
		question, want, _ := strings.Cut(string(data), "\nwant:\n")
		require.NotEmpty(t, question)
		for name := range strings.SplitSeq(parameters[1], ", ") {
			if !strings.Contains(want, "action: Allow") && regexp.MustCompile(`[\["]`+regexp.QuoteMeta(name)+`[\], "]`).MatchString(want) {
				hits[name] = true
			}
			if strings.Contains(want, "action: Allow") {
				passes[name] = true
			}
		}
	}
	for _, p := range policy.Parameters() {
		require.True(t, hits[p.Name], "%s has no case that hits", p.Name)
		require.True(t, passes[p.Name], "%s has no case that does not hit", p.Name)
	}
}

func TestACapabilityIsFoundInEverySpelling(t *testing.T) {
	for _, name := range []string{"NET_RAW", "net_raw", "CAP_NET_RAW", "cap_Net_Raw"} {
		p, ok := policy.LookupParameter(name)
		require.True(t, ok, name)
		require.Equal(t, "NET_RAW", p.Name)
	}
	for _, name := range []string{"", "CAP_", "NET_RAWR", "PRIVILEGED", "CAP_CAP_NET_RAW"} {
		_, ok := policy.LookupParameter(name)
		require.False(t, ok, name)
	}
}

func TestCatalogueIsNotTheCallersToChange(t *testing.T) {
	list := policy.Parameters()
	list[0].Name = "changed"
	require.NotEqual(t, list[0].Name, policy.Parameters()[0].Name)
	require.True(t, slices.Contains(policy.ParameterClasses(), policy.ClassHighRisk))
}
