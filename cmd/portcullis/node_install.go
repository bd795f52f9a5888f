package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"portcullis/internal/nodeinstall"
)

type installFlags struct {
	*nodeFlags
	dryRun, yes bool
}

func nodeInstallCommand(node *nodeFlags) *cobra.Command {
	flags := &installFlags{nodeFlags: node}
	command := &cobra.Command{
		Use:   "install",
		Short: "Put Portcullis between the kubelet and the runtime of this machine",
		Long: "Finds the kubelet, its endpoint and the runtime, shows what is to change, starts portcullisd, and sends the\n" +
			"kubelet there. A kubelet that is not healthy afterwards is put back. Running containers go on.\n" +
			"An install that was cut short is taken back first.",
		Args: cobra.NoArgs,
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		m, err := flags.machine(command.OutOrStdout(), !flags.dryRun)
		if err != nil {
			return err
		}
		ctx, stop := steady(command)
		defer stop()
		return answered(command, flags.install(ctx, command, m))
	}
	command.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show what would change, and change nothing")
	command.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	flags.restartFlags(command)
	return command
}

func (f *installFlags) install(ctx context.Context, command *cobra.Command, m *nodeinstall.Machine) error {
	out := command.OutOrStdout()
	plan, err := m.Prepare(ctx, f.kubeletUnit)
	if errors.Is(err, nodeinstall.ErrUnfinished) && !f.dryRun {
		fmt.Fprintln(out, "an install or uninstall before this did not end; it is taken back first")
		if err := confirm(command, f.yes); err != nil {
			return err
		}
		if _, err := m.Uninstall(ctx); err != nil {
			return err
		}
		plan, err = m.Prepare(ctx, f.kubeletUnit)
	}
	if err != nil {
		return err
	}
	describe(out, plan)
	switch {
	case plan.Nothing():
		fmt.Fprintln(out, "Everything is in place already; see portcullis node status.")
		return nil
	case f.dryRun:
		fmt.Fprintln(out, "Nothing was changed.")
		return nil
	}
	if err := confirm(command, f.yes); err != nil {
		return err
	}
	if err := m.Install(ctx, plan); err != nil {
		return err
	}
	fmt.Fprintf(out, "Portcullis is in force on this node. To take it out: portcullis node uninstall\n")
	return nil
}

func describe(out io.Writer, p *nodeinstall.Plan) {
	k := p.Kubelet
	fmt.Fprintf(out, "kubelet   %s, pid %d\n", k.Unit, k.PID)
	fmt.Fprintf(out, "runtime   %s at %s\n", p.Runtime, p.Socket)
	fmt.Fprintf(out, "endpoint  %s: %s\n", k.From, k.Endpoint)
	for _, note := range p.Notes {
		fmt.Fprintf(out, "note      %s\n", note)
	}
	if p.Nothing() {
		return
	}
	fmt.Fprintf(out, "\nWhat changes, and then the kubelet is restarted:\n\n%s\n", p.Diff())
}

// confirm asks on a terminal; elsewhere nobody could answer.
func confirm(command *cobra.Command, yes bool) error {
	if yes {
		return nil
	}
	input, ok := command.InOrStdin().(*os.File)
	if ok {
		_, err := unix.IoctlGetTermios(int(input.Fd()), unix.TCGETS)
		ok = err == nil
	}
	if !ok {
		return errors.New("there is no terminal to ask on; add --yes when this is what you want")
	}
	fmt.Fprintf(command.OutOrStdout(), "Go on? [y/N] ")
	answer, err := bufio.NewReader(input).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("no answer; nothing was changed")
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// answered tells apart a node that was left or put back as it was, which is an answer, from work that
// could not be done.
func answered(command *cobra.Command, err error) error {
	var back *nodeinstall.RolledBack
	var refusal *nodeinstall.Refusal
	if errors.As(err, &back) || errors.As(err, &refusal) {
		fmt.Fprintf(command.ErrOrStderr(), "portcullis: %v\n", err)
		return errFailed
	}
	return err
}

func nodeUninstallCommand(node *nodeFlags) *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Take Portcullis out again, and leave every file as it was",
		Long: "Puts the kubelet back on its runtime's own socket, waits until it is healthy, and then ends portcullisd. Files that\n" +
			"others have changed since the install keep those changes. Also takes back an install that was cut short.",
		Args: cobra.NoArgs,
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		m, err := node.machine(command.OutOrStdout(), true)
		if err != nil {
			return err
		}
		ctx, stop := steady(command)
		defer stop()
		return answered(command, uninstall(ctx, command, m, yes))
	}
	command.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	node.restartFlags(command)
	return command
}

func uninstall(ctx context.Context, command *cobra.Command, m *nodeinstall.Machine, yes bool) error {
	out := command.OutOrStdout()
	state, err := nodeinstall.ReadState(m.Root)
	if err != nil {
		return err
	}
	if state == nil {
		fmt.Fprintln(out, "Portcullis was not installed on this node with portcullis node install; there is nothing to take back.")
		return nil
	}
	fmt.Fprintln(out, "These files are put back, and the kubelet is restarted where it uses portcullisd:")
	for _, f := range state.Files {
		fmt.Fprintln(out, "  "+f.Path)
	}
	if err := confirm(command, yes); err != nil {
		return err
	}
	if _, err := m.Uninstall(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "Portcullis is out of this node. Its policies, reports and state are kept.")
	return nil
}
