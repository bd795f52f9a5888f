package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	units "portcullis/deploy/systemd"
	"portcullis/internal/nodeinstall"
)

// nodeFlags say which node is meant, and how its kubelet is restarted.
type nodeFlags struct {
	config      string
	kubeletUnit string
	noSystemd   bool
	restart     string
	wait        time.Duration
}

func nodeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "node",
		Short: "Put Portcullis between the kubelet and the runtime of this machine, take it out, and look after it",
		Args:  cobra.NoArgs,
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	flags := &nodeFlags{}
	set := command.PersistentFlags()
	set.StringVar(&flags.config, "config", nodeinstall.DefaultConfig, "portcullisd's configuration `FILE`")
	set.StringVar(&flags.kubeletUnit, "kubelet-unit", "", "the kubelet's systemd `UNIT` (default: that of the process)")
	set.BoolVar(&flags.noSystemd, "no-systemd", false, "this machine has no systemd: portcullisd is started by you, the kubelet with --restart-command")
	command.AddCommand(nodeInstallCommand(flags), nodeUninstallCommand(flags), nodeStatusCommand(flags), nodeDoctorCommand(flags))
	return command
}

// restartFlags adds what only commands that restart the kubelet need.
func (f *nodeFlags) restartFlags(command *cobra.Command) {
	command.Flags().StringVar(&f.restart, "restart-command", "", "`COMMAND` that restarts the kubelet, with --no-systemd")
	command.Flags().DurationVar(&f.wait, "timeout", nodeinstall.DefaultTiming.Kubelet, "how long the kubelet may take to be healthy after a restart")
}

var errNeedsRoot = errors.New("sockets, processes and files of the node are root's; start it with sudo")

// machine is the node that the flags name. Only a machine that is to be changed needs a way to restart its
// kubelet.
func (f *nodeFlags) machine(out io.Writer, changes bool) (*nodeinstall.Machine, error) {
	m := &nodeinstall.Machine{
		Root: "/", Services: nodeinstall.Systemd{}, Probe: nodeinstall.LiveProbe{}, Units: units.Units,
		Config: f.config, Timing: nodeinstall.DefaultTiming, Version: version, Now: time.Now,
		Say: func(format string, arguments ...any) { fmt.Fprintf(out, format+"\n", arguments...) },
	}
	if f.noSystemd {
		m.Services = nodeinstall.Command{Line: f.restart}
	}
	if f.wait > 0 {
		m.Timing.Kubelet = f.wait
	}
	switch {
	case os.Geteuid() != 0:
		return nil, errNeedsRoot
	case !changes:
		return m, nil
	case f.noSystemd && f.restart == "":
		return nil, fmt.Errorf("--no-systemd needs --restart-command, which restarts the kubelet")
	case !f.noSystemd && !nodeinstall.HasSystemd():
		return nil, fmt.Errorf("systemd does not run this machine; add --no-systemd --restart-command COMMAND, which restarts the kubelet")
	}
	return m, nil
}

// steady returns a context that ends when the user wants to stop. A terminal that goes away is such a
// wish too, and what is written to it must not end the program in the middle of its work.
func steady(command *cobra.Command) (context.Context, context.CancelFunc) {
	signal.Ignore(unix.SIGPIPE)
	return signal.NotifyContext(command.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
}
