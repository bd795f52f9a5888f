package console

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// vocabulary is every word that a policy may choose, for the console's forms.
type vocabulary struct {
	Severities       []string    `json:"severities"`
	Classes          []string    `json:"classes"`
	Labels           []string    `json:"labels"`
	MalwareTypes     []string    `json:"malwareTypes"`
	SecretTypes      []string    `json:"secretTypes"`
	ParameterClasses []string    `json:"parameterClasses"`
	Parameters       []parameter `json:"parameters"`
}

type parameter struct {
	Name   string `json:"name"`
	Class  string `json:"class"`
	ByName bool   `json:"byName"`
	Risk   string `json:"risk"`
}

func words() vocabulary {
	v := vocabulary{
		Severities: verdict.SeverityNames(), Labels: policy.Labels(), MalwareTypes: policy.MalwareTypes(),
		SecretTypes: policy.SecretTypes(), ParameterClasses: policy.ParameterClasses(),
	}
	for _, class := range policy.Classes() {
		v.Classes = append(v.Classes, class.Name)
	}
	for _, p := range policy.Parameters() {
		v.Parameters = append(v.Parameters, parameter{Name: p.Name, Class: p.Class, ByName: p.ByName, Risk: p.Risk})
	}
	return v
}

const vocabularyFile = "src/policies/vocabulary.json"

func TestTheFormOffersWordsThatPoliciesDoNotKnow(t *testing.T) {
	want, err := json.MarshalIndent(words(), "", "  ")
	require.NoError(t, err)
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(vocabularyFile, append(want, '\n'), 0o644))
	}
	got, err := os.ReadFile(vocabularyFile)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "run UPDATE=1 go test ./console and commit the result")
}
