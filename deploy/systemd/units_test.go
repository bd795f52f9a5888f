// Package systemd answers: would systemd take our units, and do they shut in what they start?
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kubelet stands for the unit that a distribution's kubelet package brings.
const kubelet = "[Service]\nExecStart=/bin/true\n"

// units is a folder of the units as they would be installed, with programs that exist, and a kubelet.
func units(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze; install the package systemd")
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(".")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kubelet.service"), []byte(kubelet), 0o600))
	for _, name := range []string{"portcullisd.service", "portcullis-bypass.service"} {
		file := filepath.Join(dir, name)
		unit, err := os.ReadFile(file)
		require.NoError(t, err)
		unit = []byte(strings.ReplaceAll(string(unit), "/usr/local/bin/", dir+"/"))
		require.NoError(t, os.WriteFile(file, unit, 0o600))
		program := filepath.Join(dir, strings.TrimSuffix(name, ".service"))
		require.NoError(t, os.WriteFile(program, []byte("#!/bin/true\n"), 0o700))
	}
	return dir
}

func analyze(t *testing.T, dir string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command("systemd-analyze", arguments...)
	cmd.Dir = dir
	// The trailing colon adds systemd's own units.
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return string(output)
}

func TestUnitsAreWhatSystemdUnderstands(t *testing.T) {
	dir := units(t)
	for _, unit := range []string{"portcullisd.socket", "portcullisd.service", "portcullis-bypass.service", "kubelet.service"} {
		require.Empty(t, analyze(t, dir, "verify", "--man=no", unit), unit)
	}
}

func TestAMistakeInAUnitIsFound(t *testing.T) {
	dir := units(t)
	file := filepath.Join(dir, "portcullisd.service")
	unit, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(unit), "WatchdogSec", "WatchdogSecs", 1)), 0o600))
	require.Contains(t, analyze(t, dir, "verify", "--man=no", "portcullisd.service"), "WatchdogSecs")
}

func TestServicesStayShutIn(t *testing.T) {
	dir := units(t)
	// From 0, shut in, to 100, as a unit without any of it has.
	for unit, exposure := range map[string]string{"portcullisd.service": "40", "portcullis-bypass.service": "20"} {
		analyze(t, dir, "security", "--offline=true", "--no-pager", "--threshold="+exposure, unit)
	}
}
