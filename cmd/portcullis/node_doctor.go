package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portcullis/internal/doctor"
	"portcullis/internal/nodeinstall"
)

func (f *nodeFlags) gather(command *cobra.Command) (*doctor.Facts, error) {
	if os.Geteuid() != 0 {
		return nil, errNeedsRoot
	}
	return doctor.Gather(command.Context(), doctor.Options{
		Config: f.config, KubeletUnit: f.kubeletUnit, Systemd: !f.noSystemd && nodeinstall.HasSystemd(), Version: version, Now: time.Now(),
	}), nil
}

func nodeDoctorCommand(flags *nodeFlags) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that Portcullis needs on this machine, and say what to do about it",
		Long:  "Exits with 0 when nothing is wrong or there are warnings only, 1 when something fails, 2 when it cannot look.",
		Args:  cobra.NoArgs,
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		facts, err := flags.gather(command)
		if err != nil {
			return err
		}
		checks := doctor.Examine(facts)
		// Not a table: what is told does not fit into columns.
		print := func(out io.Writer) {
			for _, c := range checks {
				fmt.Fprintf(out, "%-4s  %s: %s\n", c.Level, c.Name, strings.ReplaceAll(c.Says, "\n", "\n      "))
				if c.Do != "" {
					fmt.Fprintf(out, "      → %s\n", c.Do)
				}
			}
		}
		if err := show(command.OutOrStdout(), format, checks, print); err != nil {
			return err
		}
		if doctor.Worst(checks) == doctor.Fail {
			return errFailed
		}
		return nil
	}
	outputFlag(command, &format)
	return command
}
