// Package formatstest answers: does an importer read its reports right, and refuse what is not one?
package formatstest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// Secret stands in every report under testdata wherever a scanner may write a secret. It must come out
// nowhere.
const Secret = "hunter2-do-not-repeat"

// limit bounds the documents of the tests, in bytes.
const limit = 1 << 20

var update = flag.Bool("update", false, "write the golden files anew")

// Read is an importer.
type Read func(*formats.Stream) (*formats.Report, error)

func (read Read) whole(document []byte) (*formats.Report, error) {
	stream := formats.NewStream(bytes.NewReader(document), limit)
	report, err := read(stream)
	if err == nil {
		err = stream.End()
	}
	return formats.Finished(report, err)
}

// Golden compares what the importer makes of every testdata/NAME.json with testdata/NAME.golden, and
// that none of them lets the Secret through.
func Golden(t *testing.T, read Read) {
	t.Helper()
	for path, document := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			report, err := read.whole(document)
			require.NoError(t, err)
			got, err := json.MarshalIndent(report, "", "  ")
			require.NoError(t, err)
			require.NotContains(t, string(got), Secret)
			golden := strings.TrimSuffix(path, ".json") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got)+"\n")
			for _, v := range report.Verdict.Vulnerabilities {
				require.NotEmpty(t, v.ID)
				require.NotEmpty(t, v.Package)
			}
		})
	}
}

// Refuses checks that damaged reports are errors, never reports that show an image clean, and that neither
// the errors nor what was understood quote the Secret.
func Refuses(t *testing.T, read Read) {
	t.Helper()
	for path, document := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			end := len(bytes.TrimSpace(document))
			for cut := 0; cut < end; cut += 1 + end/500 {
				report, err := read.whole(document[:cut])
				require.ErrorIs(t, err, formats.ErrTruncated, "cut at %d", cut)
				require.Empty(t, report.Verdict.Scanned)
				understood, err := json.Marshal(report)
				require.NoError(t, err)
				require.NotContains(t, string(understood), Secret)
			}
			for i, damaged := range wrongTypes(t, document) {
				_, err := read.whole(damaged)
				if err != nil { // what is not looked at may be anything
					require.NotContains(t, err.Error(), Secret, "value %d", i)
					require.Less(t, len(err.Error()), 1000)
				}
			}
			_, err := read.whole(append(bytes.Clone(document), document...))
			require.ErrorContains(t, err, "more than one JSON value")
		})
	}
	for name, document := range map[string]string{"a list": `[]`, "a string": `"x"`, "a number": `1`} {
		_, err := read.whole([]byte(document))
		require.ErrorContains(t, err, "is "+name+", not an object")
	}
}

// wrongTypes returns the document with one value after the other replaced by values of other types.
func wrongTypes(t *testing.T, document []byte) [][]byte {
	t.Helper()
	var root any
	require.NoError(t, json.Unmarshal(document, &root))
	var damaged [][]byte
	var walk func(value any, replace func(any))
	walk = func(value any, replace func(any)) {
		for _, wrong := range []any{nil, true, 1.5, Secret, []any{Secret}, map[string]any{Secret: Secret}} {
			replace(wrong)
			text, err := json.Marshal(root)
			require.NoError(t, err)
			damaged = append(damaged, text)
		}
		replace(value)
		switch value := value.(type) {
		case map[string]any:
			for key, member := range value {
				walk(member, func(v any) { value[key] = v })
			}
		case []any:
			for i, element := range value {
				walk(element, func(v any) { value[i] = v })
			}
		}
	}
	object, ok := root.(map[string]any)
	require.True(t, ok)
	for key, member := range object {
		walk(member, func(v any) { object[key] = v })
	}
	return damaged
}

// Fuzz feeds the importer anything, beginning with the testdata: it must not panic, and what it makes
// must be fit for a verdict.
func Fuzz(f *testing.F, read Read) {
	f.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, path := range paths {
		document, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		report, err := read.whole(document)
		require.True(t, err == nil || len(report.Verdict.Scanned) == 0)
		for _, v := range report.Verdict.Vulnerabilities {
			require.NotEmpty(t, v.ID)
			require.NotEmpty(t, v.Package)
			require.LessOrEqual(t, v.Severity, verdict.Critical)
		}
	})
}

func documents(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	found := map[string][]byte{}
	for _, path := range paths {
		found[path], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	return found
}
