package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/strictyaml"
)

// However files begin and end, the stream has their documents, and lines are found again in them.
func TestFilesBecomeOneStreamThatKnowsWhereItsLinesAreFrom(t *testing.T) {
	folder := t.TempDir()
	contents := []string{"a: 1", "---\nb: 1\n---\nc: 1\n", "# comment\n\nd: 1\n", "\ufeff# comment\n--- # begins\ne: 1\n", "f: 1\r\n", "# nothing but this\n"}
	var files []string
	for i, content := range contents {
		file := filepath.Join(folder, string(rune('a'+i))+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		files = append(files, file)
	}
	d, err := readDocuments(append(files, "-"), strings.NewReader("g: 1\n"))
	require.NoError(t, err)
	docs, problems := strictyaml.Split("stream", []byte(d.text.String()))
	require.NoError(t, problems.Err(), d.text.String())
	require.Len(t, docs, 7)
	var places []string
	for _, doc := range docs {
		line := 0
		for _, key := range strings.Split("abcdefg", "") {
			if doc.Has(key) {
				line = doc.Problem(key, "").Line
			}
		}
		places = append(places, filepath.Base(d.locate(line)))
	}
	require.Equal(t, []string{"a.yaml:1", "b.yaml:2", "b.yaml:4", "c.yaml:3", "d.yaml:3", "e.yaml:1", "-:1"}, places)
}
