package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestNodeWithoutSystemdAsksHowTheKubeletIsRestarted(t *testing.T) {
	needRoot(t)
	for _, command := range []string{"install", "uninstall"} {
		code, _, errOut := call(t, nil, "node", command, "--yes", "--no-systemd")
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "--restart-command")
	}
}

func TestUninstallWhereNothingIsInstalledHasNothingToDo(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/var/lib/portcullis/install.json"); err == nil {
		t.Skip("Portcullis is installed on this machine")
	}
	code, out, _ := call(t, nil, "node", "uninstall", "--no-systemd", "--restart-command", "false")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "there is nothing to take back")
}

func TestNodeCommandsThatDoNotExistAreErrors(t *testing.T) {
	code, _, errOut := call(t, nil, "node", "instal")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "instal")
}

func TestNobodyIsAskedWithoutATerminal(t *testing.T) {
	command := &cobra.Command{}
	command.SetIn(strings.NewReader("y\n"))
	require.ErrorContains(t, confirm(command, false), "add --yes")
	require.NoError(t, confirm(command, true))
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("node commands are root's")
	}
}
