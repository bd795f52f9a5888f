package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"portcullis/internal/policyfile"
	"portcullis/internal/strictyaml"
	"portcullis/policy"
)

// checked is what policy check says of documents without mistakes, or which mistakes there are.
type checked struct {
	Valid      bool      `json:"valid"`
	Policies   int       `json:"policies"`
	Exemptions int       `json:"exemptions"`
	Revision   string    `json:"revision,omitempty"`
	Mistakes   []mistake `json:"mistakes,omitempty"`
	Warnings   []string  `json:"warnings,omitempty"`
}

type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func checkCommand() *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "check FILE|FOLDER...",
		Short: "Say every mistake in policy files, with file, line, field and what to write instead",
		Long:  "Reads the files and folders as one bundle, as a node would: names must be unique over all of them.\nExits with 0 when there is no mistake, 1 when there is one, 2 when a file cannot be read.",
		Args:  cobra.MinimumNArgs(1),
	}
	command.RunE = func(command *cobra.Command, paths []string) error {
		docs, bundle, err := load(paths)
		var mistakes strictyaml.Problems
		if err != nil && !errors.As(err, &mistakes) {
			return err
		}
		result := checked{Valid: err == nil}
		for _, m := range mistakes {
			result.Mistakes = append(result.Mistakes, mistake(m))
		}
		if result.Valid {
			result.Policies, result.Exemptions, result.Revision = len(docs.Policies), len(docs.Exemptions), bundle.Revision()
			result.Warnings = warnings(docs, time.Now())
		}
		err = show(command.OutOrStdout(), format, result, func(out io.Writer) {
			for _, m := range mistakes {
				fmt.Fprintln(out, m)
			}
			for _, w := range result.Warnings {
				fmt.Fprintln(out, "warning: "+w)
			}
			if result.Valid {
				fmt.Fprintf(out, "valid: %d policies, %d exemptions, revision %s\n", result.Policies, result.Exemptions, result.Revision)
			}
		})
		if err == nil && !result.Valid {
			return errFailed
		}
		return err
	}
	outputFlag(command, &format)
	return command
}

// warnings lists what is right and has no effect.
func warnings(docs *policy.Documents, now time.Time) []string {
	var list []string
	for _, e := range docs.Exemptions {
		if e.Expired(now) {
			list = append(list, fmt.Sprintf("exemption %q expired on %s and has no effect; remove it or write a later time in spec.expires", e.Metadata.Name, e.Spec.Expires.UTC().Format(time.RFC3339)))
		}
		for _, name := range e.Spec.Policies {
			if !slices.ContainsFunc(docs.Policies, func(p policy.ImagePolicy) bool { return p.Metadata.Name == name }) {
				list = append(list, fmt.Sprintf("exemption %q names policy %q, which does not exist", e.Metadata.Name, name))
			}
		}
	}
	return list
}

// load reads and compiles everything at the paths. Mistakes in documents are strictyaml.Problems.
func load(paths []string) (*policy.Documents, *policy.Bundle, error) {
	var sources []policy.Source
	for _, path := range paths {
		found, err := policyfile.Read(path)
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, found...)
	}
	docs, err := policy.Parse(sources...)
	if err != nil {
		return nil, nil, err
	}
	bundle, err := policy.Compile(docs, policy.Options{})
	return docs, bundle, err
}
