package strictyaml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/internal/strictyaml"
)

type sample struct {
	Kind string        `yaml:"kind"`
	Days int           `yaml:"days"`
	Wait time.Duration `yaml:"wait"`
	On   bool          `yaml:"on"`
	At   time.Time     `yaml:"at"`
	Spec struct {
		Names []string `yaml:"names"`
		Rules []struct {
			Level string `yaml:"level"`
		} `yaml:"rules"`
	} `yaml:"spec"`
}

// problems reads one file the way every caller does: all documents, all mistakes.
func problems(data string) string {
	docs, found := strictyaml.Split("f.yaml", []byte(data))
	for _, doc := range docs {
		var s sample
		found = append(found, doc.Decode(&s)...)
	}
	if found.Err() == nil {
		return ""
	}
	return found.Error()
}

func TestEveryMistakeNamesFileLineAndField(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"good":                   {"kind: a\nwait: 2s\nspec:\n  names: [x]\n", ""},
		"unknown key":            {"kind: a\nspec:\n  name: [x]\n", "f.yaml:3: spec.name: unknown key; check the spelling and the indentation"},
		"unknown key in a list":  {"spec:\n  rules:\n  - level: a\n  - lvl: b\n", "f.yaml:4: spec.rules[1].lvl: unknown key; check the spelling and the indentation"},
		"duplicate key":          {"kind: a\nkind: b\n", "f.yaml:2: kind: key is already set on line 1; keep one"},
		"text for a number":      {"days: seven\n", "f.yaml:1: days: wrong type: cannot read the text `seven` as a whole number"},
		"number for a list":      {"spec: {names: 3}\n", "f.yaml:1: spec.names: wrong type: cannot read the number `3` as a list"},
		"list for a mapping":     {"spec: [a]\n", "f.yaml:1: spec: wrong type: cannot read a list as a mapping"},
		"text for a duration":    {"wait: soon\n", "f.yaml:1: wait: wrong type: cannot read the text `soon` as a duration such as 2s or 5m"},
		"text for a boolean":     {"on: maybe\n", "f.yaml:1: on: wrong type: cannot read the text `maybe` as true or false"},
		"text for a time":        {"at: tomorrow\n", "f.yaml:1: at: wrong type: write a time such as 2027-03-01T00:00:00Z"},
		"empty file":             {"", "f.yaml: file is empty; write at least one document or remove the file"},
		"only comments":          {"# nothing\n", "f.yaml: file is empty; write at least one document or remove the file"},
		"an empty document":      {"kind: a\n---\n---\nkind: b\n", "f.yaml:3: document is empty; remove the extra ---"},
		"broken second document": {"kind: a\n---\nspec: [\n", "f.yaml:4: not valid YAML: did not find expected node content"},
		"alias":                  {"kind: &k a\nspec: {names: [*k]}\n", "f.yaml:1: kind: anchors and aliases are not supported; write the value out\nf.yaml:2: spec.names[0]: anchors and aliases are not supported; write the value out"},
		"merge key":              {"<<: {kind: a}\n", "f.yaml:1: <<: merge keys are not supported; write the fields out"},
		"a scalar":               {"hello\n", "f.yaml:1: wrong type: cannot read the text `hello` as a mapping"},
		"two mistakes at once":   {"days: x\non: perhaps\n", "f.yaml:1: days: wrong type: cannot read the text `x` as a whole number\nf.yaml:2: on: wrong type: cannot read the text `perhaps` as true or false"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, problems(c.in)) })
	}
}

func TestHostileInputIsRefusedNotExpanded(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 8) + "*" + string(c-1) + "]\n"
	}
	require.Contains(t, problems(bomb), "anchors and aliases are not supported")
	require.Contains(t, problems("spec: "+strings.Repeat("[", 100)+strings.Repeat("]", 100)), "nested deeper than 64 levels")
	require.Contains(t, problems("? "+strings.Repeat("k", 600)+"\n: ["+strings.Repeat("1,", 10)+"]"), "keys are longer than 512 bytes together")
	require.Contains(t, problems(strings.Repeat("[", 100_000)), "not valid YAML")
	require.Contains(t, problems(strings.Repeat("#", strictyaml.MaxSize+1)), "at most 16777216 are read")
}

func TestProblemStandsOnTheLineOfItsFieldOrOfTheNearestAroundIt(t *testing.T) {
	docs, found := strictyaml.Split("f.yaml", []byte("kind: a\nspec:\n  rules:\n  - level: High\n"))
	require.NoError(t, found.Err())
	require.Equal(t, "f.yaml:4: spec.rules[0].level: bad", docs[0].Problem("spec.rules[0].level", "bad").Error())
	require.Equal(t, "f.yaml:2: spec.names: required", docs[0].Problem("spec.names", "required").Error())
	require.Equal(t, "f.yaml:1: metadata.name: required", docs[0].Problem("metadata.name", "required").Error())
	require.Equal(t, "a", docs[0].Scalar("kind"))
	require.True(t, docs[0].Has("spec.rules"))
	require.False(t, docs[0].Has("spec.names"))
}

func FuzzSplitNeverPanics(f *testing.F) {
	f.Add("kind: a\n---\nspec: {names: [x]}\n")
	f.Add("? [a]\n: b\n")
	f.Fuzz(func(_ *testing.T, data string) { problems(data) })
}
