package main

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// central calls run as main does, in a folder of its own, and returns the exit status and all that was
// printed.
func central(t *testing.T, config string, arguments ...string) (status int, printed string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "central.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	defer out.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = out, out
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	status = run(append(arguments, "--config", file, "--data", filepath.Join(dir, "data")))
	_, err = out.Seek(0, io.SeekStart)
	require.NoError(t, err)
	text, err := io.ReadAll(out)
	require.NoError(t, err)
	return status, string(text)
}

const onLoopback = "listen: 127.0.0.1:0\nmetrics: {address: \"\"}\n"

func TestCheckExitsWithWhatItFound(t *testing.T) {
	status, printed := central(t, onLoopback, "--check")
	require.Zero(t, status, printed)
	require.Contains(t, printed, "configuration is valid")
	status, printed = central(t, "lisen: x\n", "--check")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "central.yaml:1: lisen")
}

func TestResetPasswordWithoutACentralMakesNone(t *testing.T) {
	status, printed := central(t, onLoopback, "reset-password", "nobody")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "data folder: stat")
}

func TestCentralTellsTheFirstPasswordAndEndsOnSIGTERM(t *testing.T) {
	// Until central listens to signals, they must not end the test.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGTERM)
	defer signal.Stop(caught)
	ended := make(chan struct{})
	go func() {
		again := time.NewTicker(100 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-ended:
				return
			case <-again.C:
				_ = unix.Kill(os.Getpid(), unix.SIGTERM)
			}
		}
	}()
	status, printed := central(t, onLoopback)
	close(ended)
	require.Zero(t, status, printed)
	require.Contains(t, printed, `The first admin is "admin" with the one-time password `)
}
