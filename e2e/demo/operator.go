package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"portcullis/e2e/lab"
)

// operator is who works with central, on the command line only.
type operator struct{ *lab.CLI }

func newOperator() (*operator, error) {
	cli, err := lab.NewCLI("operator")
	if err != nil {
		return nil, err
	}
	o := &operator{cli}
	for name, document := range policies {
		if err := o.write("policies/"+name, document); err != nil {
			return nil, err
		}
	}
	return o, o.write("policies/criticals.yaml", fmt.Sprintf(criticals, "Immediate"))
}

// write makes or replaces a file in the operator's folder.
func (o *operator) write(name, content string) error {
	path := filepath.Join(o.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("file of the operator: %w", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("file of the operator: %w", err)
	}
	return nil
}

// do runs a command for everybody to see, and expects that it succeeds.
func (o *operator) do(input string, arguments ...string) (output string, err error) {
	say("  $ portcullis %s", quoted(arguments))
	output, err = o.ask(input, arguments...)
	for line := range strings.Lines(output) {
		say("  %s", strings.TrimRight(line, "\n"))
	}
	return output, err
}

// ask runs a command that nobody needs to see.
func (o *operator) ask(input string, arguments ...string) (output string, err error) {
	printed, err := o.Run(input, arguments...)
	if err == nil && printed.Status != 0 {
		err = fmt.Errorf("portcullis %s: exit status %d: %s", quoted(arguments), printed.Status, printed.Problem)
	}
	return printed.Out, err
}

// quoted is what a person would type.
func quoted(arguments []string) string {
	words := make([]string, len(arguments))
	for i, argument := range arguments {
		words[i] = argument
		if strings.ContainsAny(argument, " '\"*$") {
			words[i] = fmt.Sprintf("%q", argument)
		}
	}
	return strings.Join(words, " ")
}

// record is what was kept of a decision.
type record struct{ Action, Policy, Pod string }

// events are what central has.
func (o *operator) events() (found []record, err error) {
	output, err := o.ask("", "events", "--limit", "0", "-o", "json")
	if err != nil {
		return nil, err
	}
	var listed struct{ Items []record }
	if err := json.Unmarshal([]byte(output), &listed); err != nil {
		return nil, fmt.Errorf("events of central: %w", err)
	}
	for i := range listed.Items {
		listed.Items[i].Action = strings.ToLower(strings.TrimPrefix(listed.Items[i].Action, "ACTION_"))
	}
	return listed.Items, nil
}
