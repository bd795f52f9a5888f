package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// printed calls run as main does, and returns the exit status and what was printed.
func printed(t *testing.T, arguments ...string) (status int, text string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	stderr := os.Stderr
	os.Stderr = out
	defer func() { os.Stderr = stderr }()
	status = run(arguments)
	_, err = out.Seek(0, io.SeekStart)
	require.NoError(t, err)
	all, err := io.ReadAll(out)
	require.NoError(t, err)
	return status, string(all)
}

func TestStartedByHandItSaysHowToStartIt(t *testing.T) {
	status, text := printed(t)
	require.Equal(t, 1, status)
	require.Contains(t, text, "systemctl start portcullis-bypass")

	status, text = printed(t, "--all")
	require.Equal(t, 1, status)
	require.Contains(t, text, "unknown flag: --all")
}
