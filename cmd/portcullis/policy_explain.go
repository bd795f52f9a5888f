package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portcullis/internal/strictyaml"
	"portcullis/policy"
	"portcullis/policy/policytest"
	"portcullis/scanner-client/verdict"
)

// explanation is what policy explain says.
type explanation struct {
	Action  string            `json:"action"`
	Because string            `json:"because"`
	Steps   []explanationStep `json:"steps"`
	Asks    []policy.Ask      `json:"asks,omitempty"`
	At      time.Time         `json:"at"`
}

type explanationStep struct {
	Policy string `json:"policy"`
	Says   string `json:"says"`
}

// explainFlags are the flags of policy explain.
type explainFlags struct {
	format, verdict, container, at, since string
}

func explainCommand() *cobra.Command {
	var flags explainFlags
	command := &cobra.Command{
		Use:   "explain FILE|FOLDER... --container C [--verdict V]",
		Short: "Say step by step why a container would be blocked, alerted or allowed",
		Long: `Decides for one container and says of every policy what it made of it.

The container file is YAML: image (id, tags, digests as the runtime has them), sandbox and config in the
JSON names of the CRI, cluster; the same as below container: in a case file (docs/policies.md). The verdict
is a verdict file (docs/verdicts.md); without it the image is unscanned.
Exits with 0 when the container may start, 1 when it would be blocked, 2 when a file cannot be read.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, paths []string) error {
			result, err := flags.explain(paths)
			if err != nil {
				return err
			}
			if err := show(command.OutOrStdout(), flags.format, result, result.print); err != nil {
				return err
			}
			if result.Action == policy.Block.String() {
				return errFailed
			}
			return nil
		},
	}
	command.Flags().StringVar(&flags.container, "container", "", "container `FILE` (required)")
	command.Flags().StringVar(&flags.verdict, "verdict", "", "verdict `FILE`; without it the image is unscanned")
	command.Flags().StringVar(&flags.at, "at", "", "decide at this `TIME`, such as 2027-03-01T00:00:00Z (default now)")
	command.Flags().StringVar(&flags.since, "since", "", "`TIME` at which observing policies began to observe (default the time of the decision)")
	_ = command.MarkFlagRequired("container") // fails for unknown flags only
	outputFlag(command, &flags.format)
	return command
}

func (f *explainFlags) explain(paths []string) (*explanation, error) {
	at, err := timeFlag("at", f.at, time.Now())
	if err != nil {
		return nil, err
	}
	since, err := timeFlag("since", f.since, at)
	if err != nil {
		return nil, err
	}
	docs, _, err := load(paths)
	if err != nil {
		return nil, err
	}
	bundle, err := policy.Compile(docs, policy.Options{Since: func(*policy.ImagePolicy) time.Time { return since }})
	if err != nil {
		return nil, err
	}
	container, err := readContainer(f.container)
	if err != nil {
		return nil, err
	}
	knowledge, err := f.knowledge()
	if err != nil {
		return nil, err
	}
	if v := knowledge.Verdict; v != nil && container.Image.ID != v.ImageID {
		return nil, fmt.Errorf("the verdict is about image %s and the container runs %q; set image.id in %s", v.ImageID, container.Image.ID, f.container)
	}
	d, steps := bundle.Explain(container, knowledge, at)
	result := &explanation{Action: d.Action.String(), Because: d.Because(), Asks: container.Asks, At: at}
	for _, s := range steps {
		result.Steps = append(result.Steps, explanationStep(s))
	}
	return result, nil
}

func timeFlag(name, text string, missing time.Time) (time.Time, error) {
	if text == "" {
		return missing, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--%s: %q is not a time such as 2027-03-01T00:00:00Z", name, text)
	}
	return t, nil
}

func readContainer(path string) (*policy.Container, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	docs, problems := strictyaml.Split(path, data)
	if problems.Err() != nil {
		return nil, problems
	}
	var c policytest.Container
	if problems := docs[0].Decode(&c); problems.Err() != nil {
		return nil, problems
	}
	container, err := c.Facts()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return container, nil
}

// knowledge reads the verdict file, if there is one.
func (f *explainFlags) knowledge() (policy.Knowledge, error) {
	if f.verdict == "" {
		return policy.Knowledge{}, nil
	}
	file, err := os.Open(f.verdict)
	if err != nil {
		return policy.Knowledge{}, err
	}
	defer file.Close()
	v, err := verdict.Read(file)
	if err != nil {
		return policy.Knowledge{}, fmt.Errorf("%s: %w", f.verdict, err)
	}
	return policy.Knowledge{Verdict: v}, nil
}

func (e *explanation) print(out io.Writer) {
	fmt.Fprintf(out, "%s: %s\n\n", e.Action, e.Because)
	if len(e.Asks) > 0 {
		asks := make([]string, len(e.Asks))
		for i, ask := range e.Asks {
			asks[i] = ask.Parameter
		}
		fmt.Fprintf(out, "the container asks for %s\n\n", strings.Join(asks, ", "))
	}
	for _, s := range e.Steps {
		fmt.Fprintf(out, "policy %q %s\n", s.Policy, s.Says)
	}
}
