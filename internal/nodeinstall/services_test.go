package nodeinstall

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// systemctl puts a program of this name first on PATH, which notes how it is called and fails where script says.
func fakeSystemctl(t *testing.T, script string) (calls func() []string) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	program := "#!/bin/sh\nshift 2\necho \"$@\" >>" + log + "\n" + script + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte(program), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() []string {
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

func TestUnitsAreStartedForGoodAndStoppedForGood(t *testing.T) {
	calls := fakeSystemctl(t, `[ "$*" != "cat portcullis-bypass.service" ]`)
	ctx := context.Background()
	require.NoError(t, Systemd{}.Start(ctx, socketUnit, serviceUnit))
	require.NoError(t, Systemd{}.Restart(ctx, "kubelet.service"))
	require.NoError(t, Systemd{}.Stop(ctx, bypassUnit, serviceUnit))
	require.Equal(t, []string{
		"enable --quiet portcullisd.socket portcullisd.service", "start portcullisd.socket portcullisd.service",
		"reset-failed kubelet.service", "restart kubelet.service",
		"cat portcullis-bypass.service", "cat portcullisd.service", "stop portcullisd.service", "disable --quiet portcullisd.service",
	}, calls())
}

func TestFailureOfSystemctlIsToldInItsOwnWords(t *testing.T) {
	fakeSystemctl(t, "echo noise >&2; echo 'Job for kubelet.service failed.' >&2; exit 1")
	err := Systemd{}.Restart(context.Background(), "kubelet.service")
	require.ErrorContains(t, err, "Job for kubelet.service failed.")
	require.NotContains(t, err.Error(), "noise")
}

func TestRestartCommandThatLeavesADaemonBehindReturns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	require.NoError(t, Command{Line: "sleep 30 & echo $! >" + file}.Restart(context.Background(), ""))
	require.NoError(t, Command{Line: "kill $(cat " + file + ")"}.Restart(context.Background(), ""))
	require.Error(t, Command{Line: "exit 3"}.Restart(context.Background(), ""))
}
