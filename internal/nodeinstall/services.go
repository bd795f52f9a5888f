package nodeinstall

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// HasSystemd says whether systemd runs this machine.
func HasSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// Systemd works on units with systemctl.
type Systemd struct{}

// Managed is true.
func (Systemd) Managed() bool { return true }

// Reload makes changed units known.
func (s Systemd) Reload(ctx context.Context) error { return systemctl(ctx, "daemon-reload") }

// Active says whether a unit runs.
func (s Systemd) Active(ctx context.Context, unit string) bool {
	return systemctl(ctx, "is-active", "--quiet", unit) == nil
}

// Start starts units, now and at every boot.
func (s Systemd) Start(ctx context.Context, units ...string) error {
	if err := systemctl(ctx, append([]string{"enable", "--quiet"}, units...)...); err != nil {
		return err
	}
	return systemctl(ctx, append([]string{"start"}, units...)...)
}

// Stop stops units, now and at every boot. One that is not there is stopped.
func (s Systemd) Stop(ctx context.Context, units ...string) error {
	for _, unit := range units {
		if systemctl(ctx, "cat", unit) != nil {
			continue
		}
		if err := systemctl(ctx, "stop", unit); err != nil {
			return err
		}
		if err := systemctl(ctx, "disable", "--quiet", unit); err != nil {
			return err
		}
	}
	return nil
}

// Restart restarts a unit, even one that systemd has given up.
func (s Systemd) Restart(ctx context.Context, unit string) error {
	_ = systemctl(ctx, "reset-failed", unit) // fails for one that has not failed
	return systemctl(ctx, "restart", unit)
}

// commandPatience bounds every command: none of them waits for more than a start.
const commandPatience = 90 * time.Second

func systemctl(ctx context.Context, arguments ...string) error {
	return command(ctx, "systemctl", append([]string{"--no-ask-password", "--no-pager"}, arguments...)...)
}

func command(ctx context.Context, name string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.WaitDelay = time.Second // a daemon that it has started may keep the output open
	output, err := cmd.CombinedOutput()
	if err != nil && err != exec.ErrWaitDelay { //nolint:errorlint // it is returned as it is
		return fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, arguments...), " "), err, lastLine(output))
	}
	return nil
}

func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return lines[len(lines)-1]
}

// Command restarts the kubelet with a command of the user's where there is no systemd; everything else
// is the user's own affair.
type Command struct{ Line string }

// Managed is false.
func (Command) Managed() bool { return false }

// Reload has nothing to do.
func (Command) Reload(context.Context) error { return nil }

// Active is true: portcullisd is to run before install.
func (Command) Active(context.Context, string) bool { return true }

// Start has nothing to do.
func (Command) Start(context.Context, ...string) error { return nil }

// Stop has nothing to do.
func (Command) Stop(context.Context, ...string) error { return nil }

// Restart runs the command.
func (c Command) Restart(ctx context.Context, _ string) error {
	return command(ctx, "/bin/sh", "-c", c.Line)
}
