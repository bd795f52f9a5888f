package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/e2e/lab"
	"portcullis/scanner-client/verdict"
)

// commanded is a governed node whose central is told what to do on the command line.
type commanded struct {
	*governed
	cli *lab.CLI
}

// onEachDatabase runs test with central on SQLite and on PostgreSQL.
func onEachDatabase(t *testing.T, test func(*commanded)) {
	needLab(t)
	t.Parallel()
	for name, options := range map[string]func(*testing.T) lab.CentralOptions{
		"SQLite": func(*testing.T) lab.CentralOptions { return lab.CentralOptions{} },
		"PostgreSQL": func(t *testing.T) lab.CentralOptions {
			_, url := startPostgres(t)
			return lab.CentralOptions{Database: url}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			central := startCentral(t, options(t))
			c := &commanded{governed: govern(t, central, lab.PortcullisdOptions{})}
			var err error
			c.cli, err = lab.NewCLI(c.Node + "-operator")
			require.NoError(t, err)
			c.done(lab.CentralPassword+"\n", "login", central.URL, "--ca", central.Authority())
			test(c)
		})
	}
}

// done runs a command that must succeed, and returns what it prints.
func (c *commanded) done(input string, arguments ...string) string {
	c.t.Helper()
	printed, err := c.cli.Run(input, arguments...)
	require.NoError(c.t, err)
	require.Zero(c.t, printed.Status, "portcullis %q: %s", arguments, printed.Problem)
	return printed.Out
}

// fails runs a command that must end with a status, and returns what it says.
func (c *commanded) fails(status int, arguments ...string) string {
	c.t.Helper()
	printed, err := c.cli.Run("", arguments...)
	require.NoError(c.t, err)
	require.Equal(c.t, status, printed.Status, "portcullis %q: %s", arguments, printed.Out)
	return printed.Problem
}

func (c *commanded) write(name, content string) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(filepath.Join(c.cli.Dir, name), []byte(content), 0o600))
}

// report uploads what a scanner found in an image.
func (c *commanded) report(imageID string, found ...verdict.Vulnerability) {
	c.t.Helper()
	var file bytes.Buffer
	require.NoError(c.t, verdict.Write(&file, &verdict.Verdict{
		ImageID: imageID, Scanner: verdict.Scanner{Name: "lab"}, ScannedAt: time.Now(), Scanned: verdict.Kinds(), Vulnerabilities: found,
	}))
	c.write("report.json", file.String())
	require.Contains(c.t, c.done("", "upload-report", "report.json"), "uploaded, about "+imageID)
}

// listed is how many decisions of an action central lists.
func (c *commanded) listed(action string) (count int64) {
	c.t.Helper()
	var events struct {
		Items []struct {
			Count int64 `json:",string"`
		}
	}
	require.NoError(c.t, json.Unmarshal([]byte(c.done("", "events", "--action", action, "-o", "json")), &events))
	for _, e := range events.Items {
		count += e.Count
	}
	return count
}

func TestTheCommandLineGovernsANodeThroughCentral(t *testing.T) {
	onEachDatabase(t, func(c *commanded) {
		t := c.t
		id, reference := c.image("risky")
		pod, container := c.pod(lab.Pod{Name: "shop"}), lab.Container{Name: "web", Image: id, Reference: reference}
		c.report(id, log4shell)
		c.write("policy.yaml", noCriticals)
		require.Contains(t, c.done("", "apply", "-f", "policy.yaml", "--dry-run"), "imagepolicy/no criticals created (dry run)")
		require.Empty(t, c.done("", "get", "policies", "-o", "name"), "a dry run changes nothing")
		require.NoError(t, c.try(pod, container))
		require.Eventually(t, func() bool {
			return strings.Contains(c.done("", "preview", "-f", "policy.yaml"), "could not start: 1, on 1 node")
		}, patience, 100*time.Millisecond)

		follow := c.follow()
		require.Contains(t, c.done("", "apply", "-f", "policy.yaml"), "imagepolicy/no criticals created\n")
		c.becomes(pod, container, codes.PermissionDenied)
		require.Equal(t, "no criticals", follow())
		require.Eventually(t, func() bool { // nodes report a while after the bundle
			return strings.Contains(c.done("", "get", "nodes", c.Node), "in-force")
		}, patience, 100*time.Millisecond)

		c.done("", "disable", "policy", "no criticals")
		c.becomes(pod, container, codes.OK)
		require.Zero(t, c.listed("alert"))

		c.write("policy.yaml", strings.Replace(noCriticals, "mode: Immediate", "mode: Observe, days: 7", 1))
		require.Contains(t, c.done("", "apply", "-f", "policy.yaml"), "configured")
		require.Eventually(t, func() bool {
			require.NoError(t, c.try(pod, container))
			return c.listed("alert") > 0
		}, patience, 50*time.Millisecond)

		c.write("policy.yaml", noCriticals)
		c.done("", "apply", "-f", "policy.yaml")
		c.becomes(pod, container, codes.PermissionDenied)
		require.NoError(t, c.central.Stop())
		require.Error(t, c.try(pod, container), "the node goes on")
		require.Contains(t, c.fails(2, "disable", "policy", "no criticals"), "cannot be reached")
		require.Error(t, c.try(pod, container))

		require.NoError(t, c.central.Start())
		c.counted()
		require.Equal(t, c.counts[portcullisv1.Action_ACTION_BLOCK], c.listed("block"))
		c.done("", "delete", "policy", "no criticals")
		c.becomes(pod, container, codes.OK)
	})
}

// follow begins to follow events. What it returns waits for the first one, and tells whose policy's it is.
func (c *commanded) follow() (first func() string) {
	c.t.Helper()
	command := c.cli.Command("events", "--follow", "-o", "json")
	out, err := command.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, command.Start())
	return func() string {
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(c.t, err)
		var event struct{ Policy string }
		require.NoError(c.t, json.Unmarshal([]byte(line), &event))
		require.NoError(c.t, command.Process.Signal(syscall.SIGINT))
		require.NoError(c.t, command.Wait(), "interrupting it is no failure")
		return event.Policy
	}
}

func TestWhoMakesAMistakeOnTheCommandLineChangesNothing(t *testing.T) {
	onEachDatabase(t, func(c *commanded) {
		c.write("good.yaml", noCriticals)
		c.write("bad.yaml", strings.Replace(observed, "days: 7", "days: 700", 1))
		problem := c.fails(1, "apply", "-f", "good.yaml", "-f", "bad.yaml")
		require.Contains(c.t, problem, "bad.yaml:7: spec.effect.days: ")
		require.Empty(c.t, c.done("", "get", "policies", "-o", "name"), "all or nothing")
		c.done("", "apply", "-f", "good.yaml")
		require.Equal(c.t, "imagepolicy/no criticals unchanged\n", c.done("", "apply", "-f", "good.yaml"))
		c.write("other.yaml", observed)
		would := c.done("", "apply", "-f", "other.yaml", "--prune", "--dry-run")
		require.Equal(c.t, "imagepolicy/watch criticals created (dry run)\nimagepolicy/no criticals pruned (dry run)\n", would)
		require.Equal(c.t, "imagepolicy/no criticals\n", c.done("", "get", "policies", "-o", "name"))
		c.done("", "apply", "-f", "other.yaml", "--prune")
		require.Equal(c.t, "imagepolicy/watch criticals\n", c.done("", "get", "policies", "-o", "name"))
		require.Contains(c.t, c.fails(1, "enable", "policy", "no criticals"), fmt.Sprintf("%q", "no criticals"))
	})
}
