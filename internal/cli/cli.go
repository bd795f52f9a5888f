// Package cli answers: what can people tell central, and ask it, from a terminal?
//
// Each command is a file: it asks central and shows the answer. Which central is package target's, how
// things look is package output's, and what went wrong is package failure's.
package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"portcullis/internal/cli/failure"
	"portcullis/internal/cli/output"
	"portcullis/internal/cli/target"
)

// Groups part the help of the program that has the commands.
func Groups() []*cobra.Group {
	return []*cobra.Group{{ID: group, Title: "Central:"}}
}

const group = "central"

// Commands are all that need a central. Each exits with 1 on a *failure.Refusal.
func Commands(version string) []*cobra.Command {
	p := program{version}
	commands := []*cobra.Command{
		p.login(), p.logout(), p.whoami(), p.context(),
		p.get(), p.describe(), p.apply(), p.delete(), p.enable(), p.disable(), p.preview(), p.export(),
		p.events(), p.nodes(), p.images(), p.uploadReport(), p.token(), p.user(), p.audit(),
	}
	for _, command := range commands {
		command.GroupID = group
		instruct(command)
	}
	return commands
}

// program is what all commands share.
type program struct{ version string }

// call is one call of a command.
type call struct {
	*target.Central
	output.Printer
	ctx     context.Context
	command *cobra.Command
	errOut  io.Writer
	now     time.Time
}

// contextFlag is the same for every command.
const contextFlag = "context"

// central makes a command one that calls central.
func (p program) central(command *cobra.Command, do func(c *call, arguments []string) error) *cobra.Command {
	command.Flags().String(contextFlag, "", "`NAME` of the context to use, instead of the current one")
	_ = command.RegisterFlagCompletionFunc(contextFlag, completeContexts) // fails for unknown flags only
	command.RunE = func(command *cobra.Command, arguments []string) error {
		c, err := p.newCall(command)
		if err != nil {
			return err
		}
		defer c.Close()
		return failure.Say(do(c, arguments), c.Context.Address, nil)
	}
	return command
}

func (p program) newCall(command *cobra.Command) (*call, error) {
	name, err := command.Flags().GetString(contextFlag)
	if err != nil {
		return nil, err
	}
	to, err := target.Resolve(name)
	if err != nil {
		return nil, err
	}
	central, err := target.Connect(to, p.version)
	if err != nil {
		return nil, err
	}
	c := &call{Central: central, ctx: command.Context(), command: command, errOut: command.ErrOrStderr(), now: time.Now()}
	c.Printer = output.Printer{Out: command.OutOrStdout(), Now: c.now}
	return c, nil
}

// parent makes a command that only holds others: a misspelt one is an error, not a reason to show help.
func parent(use, short string, children ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(children...)
	return command
}

// shown adds -o and --no-headers to a command that shows a list.
func (p program) shown(command *cobra.Command, do func(c *call, arguments []string) error) *cobra.Command {
	return p.formatted(command, output.Formats(), do)
}

// result adds -o to a command that shows one result.
func (p program) result(command *cobra.Command, do func(c *call, arguments []string) error) *cobra.Command {
	return p.formatted(command, []string{"table", "json", "yaml"}, do)
}

func (p program) formatted(command *cobra.Command, formats []string, do func(c *call, arguments []string) error) *cobra.Command {
	var printer output.Printer
	command.Flags().StringVarP(&printer.Format, "output", "o", "table", "output format: "+list(formats))
	command.Flags().BoolVar(&printer.NoHeaders, "no-headers", false, "leave out the titles of tables")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	p.central(command, func(c *call, arguments []string) error {
		c.Format, c.NoHeaders = printer.Format, printer.NoHeaders
		return do(c, arguments)
	})
	run := command.RunE
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if err := printer.Check(formats...); err != nil {
			return err
		}
		return run(command, arguments)
	}
	return command
}
