package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"portcullis/internal/strictyaml"
)

// outputFlag adds -o to a command.
func outputFlag(command *cobra.Command, format *string) {
	command.Flags().StringVarP(format, "output", "o", "table", "output format: table, json or yaml")
	formats := []string{"table", "json", "yaml"}
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	run := command.RunE
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if !slices.Contains(formats, *format) {
			return fmt.Errorf("unknown output format %q; write %s", *format, strings.Join(formats, ", "))
		}
		return run(command, arguments)
	}
}

// show writes value as JSON or YAML, or calls table for people.
func show(out io.Writer, format string, value any, table func(io.Writer)) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "yaml":
		text, err := strictyaml.Encode(value)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	writer := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	table(writer)
	return writer.Flush()
}

// row writes one line of a table.
func row(out io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = fmt.Sprint(cell)
	}
	fmt.Fprintln(out, strings.Join(texts, "\t"))
}
