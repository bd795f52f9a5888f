package main

import (
	"io"

	"github.com/spf13/cobra"

	"portcullis/policy"
)

func parametersCommand() *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "parameters",
		Short: "List the five classes of privileged parameters that PrivilegedStart policies may name",
		Args:  cobra.NoArgs,
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		return show(command.OutOrStdout(), format, policy.Parameters(), func(out io.Writer) {
			row(out, "CLASS", "PARAMETER", "SELECTED", "WHAT IT GIVES")
			for _, p := range policy.Parameters() {
				selected := "with its class"
				if p.ByName {
					selected = "by name only"
				}
				row(out, p.Class, p.Name, selected, p.Risk)
			}
		})
	}
	outputFlag(command, &format)
	return command
}
