package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"portcullis/internal/cli/target"
)

func (p program) context() *cobra.Command {
	return parent("context", "List the centrals that were logged in to, or choose one", contextList(), contextUse())
}

func contextList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the contexts; the current one has a *", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := target.ReadConfig()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(command.OutOrStdout(), 0, 8, 3, ' ', 0)
			fmt.Fprintln(w, "CURRENT\tNAME\tADDRESS\tLOGGED-IN")
			for _, c := range config.Contexts {
				current, in := "", "no"
				if c.Name == config.Current {
					current = "*"
				}
				if c.Token != "" {
					in = "yes"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", current, c.Name, c.Address, in)
			}
			return w.Flush()
		},
	}
}

func contextUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: cobra.ExactArgs(1), ValidArgsFunction: completeContexts,
		RunE: func(command *cobra.Command, arguments []string) error {
			config, err := target.ReadConfig()
			if err != nil {
				return err
			}
			chosen, err := config.Context(arguments[0])
			if err != nil {
				return err
			}
			config.Current = chosen.Name
			fmt.Fprintf(command.OutOrStdout(), "using %s at %s\n", chosen.Name, chosen.Address)
			return config.Write()
		},
	}
}

func completeContexts(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	config, err := target.ReadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, c := range config.Contexts {
		if strings.HasPrefix(c.Name, begun) {
			names = append(names, c.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
