package main

import (
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const policy = `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: p}
spec: {template: PrivilegedStart, enabled: true, effect: {mode: Immediate}, scope: {images: {all: true}}}
`

// daemon calls run as main does, in a folder that holds a configuration, one policy and a runtime's socket,
// and returns the exit status and all that was printed.
func daemon(t *testing.T, policies string, arguments ...string) (status int, printed string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "policies"), 0o700))
	for name, content := range map[string]string{
		"policies/p.yaml": policies,
		"config.yaml": "listen: " + dir + "/own/p.sock\nruntime: " + dir + "/r.sock\npolicies: " + dir + "/policies\n" +
			"reports: " + dir + "/reports\nstate: " + dir + "/state\nmetrics: {address: \"\"}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "r.sock"))
	require.NoError(t, err)
	defer listener.Close()

	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = out, out
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	status = run(append(arguments, "--config", filepath.Join(dir, "config.yaml")))
	_, err = out.Seek(0, io.SeekStart)
	require.NoError(t, err)
	text, err := io.ReadAll(out)
	require.NoError(t, err)
	return status, string(text)
}

func TestCheckExitsWithWhatItFound(t *testing.T) {
	status, printed := daemon(t, policy, "--check")
	require.Zero(t, status, printed)
	require.Contains(t, printed, "configuration is valid; 1 policies, revision ")

	status, printed = daemon(t, "kind: Policy\n", "--check")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "portcullisd: ")
	require.Contains(t, printed, "policies/p.yaml:1: kind: ")
}

func TestVersionIsToldWithoutAConfiguration(t *testing.T) {
	status, _ := daemon(t, policy, "--version")
	require.Zero(t, status)
}

func TestUnknownFlagsAreErrors(t *testing.T) {
	status, printed := daemon(t, policy, "--chek")
	require.Equal(t, 1, status)
	require.Contains(t, printed, "unknown flag: --chek")
}

func TestTheDaemonReloadsOnSIGHUPAndEndsOnSIGTERM(t *testing.T) {
	// Until the daemon listens to signals, they must not end the test.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGHUP, unix.SIGTERM)
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
				_ = unix.Kill(os.Getpid(), unix.SIGHUP)
				_ = unix.Kill(os.Getpid(), unix.SIGTERM)
			}
		}
	}()
	status, printed := daemon(t, policy)
	close(ended)
	require.Zero(t, status, printed)
	require.Contains(t, printed, "policies in force")
}
