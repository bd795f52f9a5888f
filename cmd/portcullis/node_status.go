package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"portcullis/internal/doctor"
)

func nodeStatusCommand(flags *nodeFlags) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "status",
		Short: "Say what is in force on this machine",
		Long:  "Exits with 0 when the kubelet goes through a portcullisd that is ready, 1 when not, 2 when it cannot look.",
		Args:  cobra.NoArgs,
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		facts, err := flags.gather(command)
		if err != nil {
			return err
		}
		status := doctor.Summarize(facts)
		if err := show(command.OutOrStdout(), format, status, func(out io.Writer) { printStatus(out, status) }); err != nil {
			return err
		}
		if !status.InForce {
			return errFailed
		}
		return nil
	}
	outputFlag(command, &format)
	return command
}

func printStatus(out io.Writer, s *doctor.Status) {
	if s.InForce {
		row(out, "in force", "yes")
	} else {
		row(out, "in force", "no: "+s.Why)
	}
	row(out, "installed", s.Installed)
	row(out, "kubelet", orUnknown(s.Kubelet.Endpoint))
	if d := s.Daemon; d != nil {
		row(out, "portcullisd", d.Version+", "+ready(d.Ready))
		row(out, "policies", fmt.Sprintf("%d, revision %s", d.Policies, orUnknown(d.Revision)))
		row(out, "reports", d.Reports)
	} else {
		row(out, "portcullisd", "not to be asked")
	}
	row(out, "runtime", orUnknown(s.Runtime))
}

func ready(ready bool) string {
	if ready {
		return "ready"
	}
	return "not ready"
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
