package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// central calls run as main does, in a folder of its own, and returns the exit status and all that was
// printed.
func central(t *testing.T, config string, arguments ...string) (status int, printed string) {
	t.Helper()
	return centralIn(t, t.TempDir(), config, arguments...)
}

// centralIn is central in a folder of the caller's, where the file out is what it prints.
func centralIn(t *testing.T, dir, config string, arguments ...string) (status int, printed string) {
	t.Helper()
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

// stopWhen tells this process to stop once the central in the folder has printed the text.
func stopWhen(t *testing.T, dir, text string) {
	t.Helper()
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-ended:
				return
			case <-again.C:
			}
			if printed, err := os.ReadFile(filepath.Join(dir, "out")); err == nil && strings.Contains(string(printed), text) {
				_ = unix.Kill(os.Getpid(), unix.SIGTERM)
				return
			}
		}
	})
	t.Cleanup(func() { close(ended); waiting.Wait() })
}

func TestCentralTellsTheFirstPasswordAndEndsOnSIGTERM(t *testing.T) {
	dir := t.TempDir()
	stopWhen(t, dir, "portcullis-central serves")
	status, printed := centralIn(t, dir, onLoopback)
	require.Zero(t, status, printed)
	require.Contains(t, printed, `The first admin is "admin" with the one-time password `)
}

func TestCentralThatWaitsForItsDatabaseEndsOnSIGTERM(t *testing.T) {
	dir := t.TempDir()
	stopWhen(t, dir, "waiting for the database")
	status, printed := centralIn(t, dir, onLoopback+"database: postgres://nobody@127.0.0.1:1/none\n")
	require.Zero(t, status, "it waited until it gave up: "+printed)
}
