package policy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"portcullis/policy"
	"portcullis/policy/policytest"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := policy.Schema()
	require.NoError(t, err)
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("policy.schema.json", plain))
	compiled, err := compiler.Compile("policy.schema.json")
	require.NoError(t, err)
	return compiled
}

// documents reads the documents as an editor would, without any of our code.
func documents(t *testing.T, data []byte) ([]any, error) {
	t.Helper()
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	require.NoError(t, err)
	var list []any
	for {
		var doc any
		if err := loader.Load(&doc); err != nil {
			if len(list) > 0 && err.Error() == "EOF" {
				return list, nil
			}
			return nil, err
		}
		list = append(list, timesAsText(doc))
	}
}

func TestTheSchemaAcceptsWhateverTheParserAccepts(t *testing.T) {
	schema := compiledSchema(t)
	files, err := filepath.Glob("testdata/cases/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		c, err := policytest.Read(file, data)
		require.NoError(t, err)
		docs, err := documents(t, []byte(c.Policies))
		require.NoError(t, err, file)
		for _, doc := range docs {
			require.NoError(t, schema.Validate(doc), file)
		}
	}
}

// timesAsText undoes that our YAML library reads times; for editors they are texts.
func timesAsText(value any) any {
	switch v := value.(type) {
	case time.Time:
		return v.Format(time.RFC3339)
	case map[string]any:
		for key := range v {
			v[key] = timesAsText(v[key])
		}
	}
	return value
}

// beyond lists the mistakes that only the parser sees: they are about several documents, about YAML
// itself, or about the inner form of a text.
var beyond = map[string]bool{
	"allow-only-selected-with-all-images.yaml":     true,
	"allow-only-selected-without-images.yaml":      true,
	"capability-unknown.yaml":                      true,
	"exemption-name-twice.yaml":                    true,
	"exemption-of-everything.yaml":                 true,
	"exemption-with-an-unreadable-expiry.yaml":     true,
	"exemption-with-no-end-in-sight.yaml":          true,
	"exemption-without-an-author.yaml":             true,
	"grace-period-of-366-days.yaml":                true,
	"image-with-a-digest-in-capitals.yaml":         true,
	"name-twice.yaml":                              true,
	"name-with-a-space-around.yaml":                true,
	"name-with-a-tab.yaml":                         true,
	"parameter-in-capitals.yaml":                   true,
	"privileged-start-twice.yaml":                  true,
	"scope-of-all-and-selected.yaml":               true,
	"scope-of-every-registry-by-tag.yaml":          true,
	"scope-of-everything-by-star.yaml":             true,
	"since-after-the-year-9999.yaml":               true,
	"since-in-words.yaml":                          true,
	"version-range-of-maven.yaml":                  true,
	"version-range-of-npm.yaml":                    true,
	"version-range-with-a-wildcard.yaml":           true,
	"version-range-with-a-word.yaml":               true,
	"version-range-with-an-empty-alternative.yaml": true,
	"version-range-without-a-version.yaml":         true,
}

func TestTheSchemaRefusesWhatASchemaCanSee(t *testing.T) {
	schema := compiledSchema(t)
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		docs, err := documents(t, data)
		refused := err != nil
		for _, doc := range docs {
			refused = refused || schema.Validate(doc) != nil
		}
		assert.Equal(t, beyond[filepath.Base(file)], !refused, file)
	}
}
