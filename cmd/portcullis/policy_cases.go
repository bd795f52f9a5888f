package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"portcullis/policy/policytest"
)

// outcome is what came of one case file.
type outcome struct {
	File        string   `json:"file"`
	Note        string   `json:"note,omitempty"`
	Passed      bool     `json:"passed"`
	Error       string   `json:"error,omitempty"`
	Differences []string `json:"differences,omitempty"`
}

func testCommand() *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "test FOLDER",
		Short: "Run case files: is each container decided as its author wrote?",
		Long:  "Runs every *.yaml and *.yml file in the folder and below; docs/policies.md describes their form.\nExits with 0 when all pass, 1 when one fails, 2 when the folder cannot be read or holds no case.",
		Args:  cobra.ExactArgs(1),
	}
	command.RunE = func(command *cobra.Command, arguments []string) error {
		results, err := policytest.Run(arguments[0])
		if err != nil {
			return err
		}
		if len(results) == 0 {
			return fmt.Errorf("%s holds no case files; write *.yaml files as docs/policies.md describes", arguments[0])
		}
		failed := 0
		outcomes := make([]outcome, len(results))
		for i, r := range results {
			outcomes[i] = outcome{File: r.File, Note: r.Note, Passed: r.Passed(), Differences: r.Differences}
			if r.Err != nil {
				outcomes[i].Error = r.Err.Error()
			}
			if !r.Passed() {
				failed++
			}
		}
		err = show(command.OutOrStdout(), format, outcomes, func(out io.Writer) {
			for _, o := range outcomes {
				o.print(out)
			}
			fmt.Fprintf(out, "%d passed, %d failed\n", len(outcomes)-failed, failed)
		})
		if err == nil && failed > 0 {
			return errFailed
		}
		return err
	}
	outputFlag(command, &format)
	return command
}

// print tells people about a case that failed; one that passed needs no words.
func (o outcome) print(out io.Writer) {
	if o.Passed {
		return
	}
	fmt.Fprintf(out, "FAILED %s: %s\n", o.File, o.Note)
	if o.Error != "" {
		fmt.Fprintf(out, "  %s\n", o.Error)
	}
	for _, difference := range o.Differences {
		fmt.Fprintf(out, "  %s\n", difference)
	}
}
