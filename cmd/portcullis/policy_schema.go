package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"portcullis/policy"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of policy documents, for editors",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			text, err := policy.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), string(text))
			return err
		},
	}
}
