// Command portcullis is the command line for people: policies, images, the node it runs on, and central.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"portcullis/internal/cli"
	"portcullis/internal/cli/failure"
)

// version is set when a release is built.
var version = "dev"

// Exit codes, as docs/cli.md lists them.
const (
	exitOK     = 0
	exitFailed = 1 // what was checked has mistakes, a test case failed, a start would be blocked, central refused
	exitUsage  = 2 // wrong flags or arguments, files that cannot be read, central out of reach
)

// errFailed says that the command did its work and the answer is no; what is wrong has been printed.
var errFailed = errors.New("failed")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code.
func run(arguments []string, out, errOut io.Writer) int {
	command := &cobra.Command{
		Use:           "portcullis",
		Short:         "Checks, explains and tests policies, scans images, puts Portcullis on a node, and works with central",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	command.SetArgs(cli.Arguments(arguments))
	command.SetOut(out)
	command.SetErr(errOut)
	command.AddCommand(policyCommand(), scanCommand(), nodeCommand())
	command.AddGroup(cli.Groups()...)
	command.AddCommand(cli.Commands(version)...)
	err := command.Execute()
	var refusal *failure.Refusal
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	}
	fmt.Fprintf(errOut, "portcullis: %v\n", err)
	if errors.As(err, &refusal) {
		return exitFailed
	}
	return exitUsage
}

func policyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Work with policy documents, without a node",
		Args:  cobra.NoArgs, // a misspelt command is an error, not a reason to show help
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(checkCommand(), explainCommand(), statusCommand(), testCommand(), schemaCommand(), parametersCommand())
	return command
}
