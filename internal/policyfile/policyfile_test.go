package policyfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/policyfile"
	"portcullis/internal/strictyaml"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestAFolderGivesItsYAMLFilesInOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.yaml"), "b")
	write(t, filepath.Join(dir, "a.yml"), "a")
	write(t, filepath.Join(dir, "notes.txt"), "x")
	write(t, filepath.Join(dir, ".hidden.yaml"), "x")
	require.NoError(t, os.Symlink("b.yaml", filepath.Join(dir, "c.yaml")))
	sources, err := policyfile.Read(dir)
	require.NoError(t, err)
	var got []string
	for _, s := range sources {
		got = append(got, filepath.Base(s.Name)+"="+string(s.Data))
	}
	require.Equal(t, []string{"a.yml=a", "b.yaml=b", "c.yaml=b"}, got)
}

func TestAFileGivesItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "any name")
	write(t, path, "a")
	sources, err := policyfile.Read(path)
	require.NoError(t, err)
	require.Len(t, sources, 1)
}

func TestWhatCannotBeReadIsAnErrorForAll(t *testing.T) {
	_, err := policyfile.Read(filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)

	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "a")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "b.yaml"), 0o700))
	_, err = policyfile.Read(dir)
	require.ErrorContains(t, err, "b.yaml is not a regular file")

	large := filepath.Join(t.TempDir(), "large.yaml")
	write(t, large, "")
	require.NoError(t, os.Truncate(large, strictyaml.MaxSize+1))
	_, err = policyfile.Read(large)
	require.ErrorContains(t, err, "at most 16777216 are read; split it")
}
