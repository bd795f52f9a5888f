package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// kinds are what -o name and the changing commands call things, with the words by which commands choose them. Where
// a command is about one kind only, its own name is among these.
var kinds = map[string][]string{
	"imagepolicy": {"policy", "policies", "imagepolicy", "imagepolicies"},
	"exemption":   {"exemption", "exemptions"},
	"node":        {"node", "nodes"},
	"image":       {"image", "images"},
	"event":       {"event", "events"},
	"user":        {"user", "users"},
	"token":       {"token", "tokens"},
	"report":      {"report", "reports", "delete-report"},
	"join-token":  {"join-token"},
}

// Arguments makes delete imagepolicy/NAME and delete policy imagepolicy/NAME the same as delete policy NAME: what
// one command prints, another takes.
func Arguments(arguments []string) []string {
	verbs := []string{"get", "describe", "delete", "enable", "disable", "nodes", "images", "token", "user"}
	if len(arguments) < 2 || !slices.Contains(verbs, arguments[0]) {
		return arguments
	}
	plain := slices.Clone(arguments)
	if kind, _, whole := strings.Cut(plain[1], "/"); whole && kinds[kind] != nil {
		plain = slices.Insert(plain, 1, kind)
	}
	for kind, words := range kinds {
		if slices.Contains(words, plain[0]) || slices.Contains(words, plain[1]) {
			for i := 2; i < len(plain); i++ {
				plain[i] = strings.TrimPrefix(plain[i], kind+"/")
			}
		}
	}
	return plain
}

// instruct makes a command, and all below it, say what to write where the arguments are wrong.
func instruct(command *cobra.Command) {
	for _, child := range command.Commands() {
		instruct(child)
	}
	valid := command.Args
	command.Args = func(command *cobra.Command, arguments []string) error {
		if valid != nil && valid(command, arguments) != nil {
			return mistaken(command, arguments)
		}
		return missing(command)
	}
}

func mistaken(command *cobra.Command, arguments []string) error {
	children := command.Commands()
	switch len(children) {
	case 0:
		return fmt.Errorf("wrong number of arguments; write %s", strings.TrimSuffix(command.UseLine(), " [flags]"))
	case 1:
		return fmt.Errorf("unknown command %q for %q; write %s", arguments[0], command.CommandPath(), strings.TrimSuffix(children[0].UseLine(), " [flags]"))
	}
	return fmt.Errorf("unknown command %q for %q; write one of %s", arguments[0], command.CommandPath(), list(gather(children, (*cobra.Command).Name)))
}

// missing names the first flag that is needed and not there.
func missing(command *cobra.Command) (err error) {
	command.Flags().VisitAll(func(f *pflag.Flag) {
		if err != nil || f.Changed || len(f.Annotations[cobra.BashCompOneRequiredFlag]) == 0 {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand
		}
		value, usage := pflag.UnquoteUsage(f)
		err = fmt.Errorf("%s is needed; write %s %s: %s", name, name, value, usage)
	})
	return err
}
