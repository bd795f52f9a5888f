package durable_test

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/scanner-client/internal/durable"
)

const kind = "portcullis test 1"

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, durable.Write(path, kind, func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}))
}

func read(path, kind string) (string, error) {
	var content []byte
	err := durable.Read(path, kind, func(r *bufio.Reader) (err error) {
		content, err = io.ReadAll(r)
		return err
	})
	return string(content), err
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"", "x", "longer\ncontent"} {
		write(t, path, content)
		got, err := read(path, kind)
		require.NoError(t, err)
		require.Equal(t, content, got)
	}
}

func TestADamagedFileIsNotUsedWhereverTheDamageIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "some content")
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := read(path, kind)
		require.ErrorIs(t, err, durable.ErrUnusable, "byte %d", i)
		require.NoError(t, os.WriteFile(path, good[:i], 0o600))
		_, err = read(path, kind)
		require.ErrorIs(t, err, durable.ErrUnusable, "cut at %d", i)
	}
}

func TestAnotherVersionIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "content")
	_, err := read(path, "portcullis test 2")
	require.ErrorIs(t, err, durable.ErrUnusable)
	_, err = read(filepath.Join(t.TempDir(), "absent"), kind)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAContentThatTheReaderRefusesIsUnusable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "content")
	refused := errors.New("not mine")
	err := durable.Read(path, kind, func(*bufio.Reader) error { return refused })
	require.ErrorIs(t, err, durable.ErrUnusable)
	require.ErrorIs(t, err, refused)
}

func TestAFailedWriteLeavesTheOldContentAndNoLitter(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "f")
	write(t, path, "old")
	full := errors.New("disk full")
	require.ErrorIs(t, durable.Write(path, kind, func(io.Writer) error { return full }), full)
	got, err := read(path, kind)
	require.NoError(t, err)
	require.Equal(t, "old", got)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Error(t, durable.Write(filepath.Join(folder, "absent", "f"), kind, nil))
}
