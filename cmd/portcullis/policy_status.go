package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"portcullis/policy"
)

// status is what policy status says of a bundle.
type status struct {
	Revision   string            `json:"revision"`
	Policies   []policyStatus    `json:"policies"`
	Exemptions []exemptionStatus `json:"exemptions"`
}

type policyStatus struct {
	Name     string `json:"name"`
	Template string `json:"template"`
	State    string `json:"state"`
}

type exemptionStatus struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Expires time.Time `json:"expires"`
	Author  string    `json:"author"`
	Reason  string    `json:"reason"`
}

func statusCommand() *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "status FILE|FOLDER...",
		Short: "Say which policies block, observe or are off, and which exemptions have expired",
		Args:  cobra.MinimumNArgs(1),
	}
	command.RunE = func(command *cobra.Command, paths []string) error {
		docs, bundle, err := load(paths)
		if err != nil {
			return err
		}
		result := statusOf(docs, bundle.Revision(), time.Now())
		return show(command.OutOrStdout(), format, result, result.print)
	}
	outputFlag(command, &format)
	return command
}

func statusOf(docs *policy.Documents, revision string, now time.Time) *status {
	s := &status{Revision: revision, Policies: []policyStatus{}, Exemptions: []exemptionStatus{}}
	for _, p := range docs.Policies {
		state := "blocks"
		switch {
		case !p.Spec.Enabled:
			state = "off"
		case p.Spec.Effect.Mode == policy.Observe:
			state = fmt.Sprintf("observes %d days, then blocks", p.Spec.Effect.Days)
		}
		s.Policies = append(s.Policies, policyStatus{p.Metadata.Name, string(p.Spec.Template), state})
	}
	for _, e := range docs.Exemptions {
		state := "in force"
		if e.Expired(now) {
			state = "expired, has no effect"
		}
		s.Exemptions = append(s.Exemptions, exemptionStatus{e.Metadata.Name, state, e.Spec.Expires, e.Spec.Author, e.Spec.Reason})
	}
	return s
}

func (s *status) print(out io.Writer) {
	row(out, "POLICY", "TEMPLATE", "STATE")
	for _, p := range s.Policies {
		row(out, p.Name, p.Template, p.State)
	}
	if len(s.Exemptions) == 0 {
		return
	}
	row(out)
	row(out, "EXEMPTION", "STATE", "EXPIRES", "AUTHOR", "REASON")
	for _, e := range s.Exemptions {
		row(out, e.Name, e.State, e.Expires.UTC().Format(time.RFC3339), e.Author, e.Reason)
	}
}
