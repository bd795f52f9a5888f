// Command demo shows what Portcullis does, on real parts: containerd, runc, a registry, journald.
//
// It runs in namespaces of its own (package lab) and leaves nothing behind. The exit status is 1 when
// anything is seen that was not expected.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"portcullis/e2e/lab"
	"portcullis/event"
)

func main() { os.Exit(lab.Main(run)) }

func run() int {
	version := flag.String("containerd", "2.4", "version of containerd to run on: 1.6 or 2.4")
	flag.Parse()
	if !lab.Inside() {
		fmt.Fprintln(os.Stderr, "demo: it starts a container runtime and needs root; nothing outside its own namespaces is touched")
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	different, err := show(ctx, "containerd-"+*version)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	if different {
		return 1
	}
	return 0
}

// show runs every scene and prints the table of what was expected and what was seen.
func show(ctx context.Context, containerd string) (different bool, err error) {
	s, err := setUp(containerd)
	if err != nil {
		return false, err
	}
	scenes := scenes()
	for i := range scenes {
		if err := s.play(ctx, &scenes[i]); err != nil {
			return false, fmt.Errorf("%s: %w", scenes[i].title, err)
		}
	}
	// The end of the daemon writes the events that it may still hold.
	if err := s.portcullisd.Stop(); err != nil {
		return false, err
	}
	entries, err := s.journal.Entries("MESSAGE_ID=" + event.MessageID)
	if err != nil {
		return false, err
	}
	printJournal(entries)
	return printTable(scenes, entries), s.tearDown(ctx)
}

// play brings the scene's policies into force and runs its container, as a kubelet would.
func (s *stage) play(ctx context.Context, scene *scene) error {
	say("\n%s", scene.title)
	if err := s.enforce(ctx, scene.policies); err != nil {
		return err
	}
	image := s.images[scene.image]
	pod, err := s.cri.RunPod(ctx, lab.Pod{Name: scene.pod, Namespace: "demo", Privileged: scene.privileged})
	if err != nil {
		return err
	}
	output, err := s.cri.Run(ctx, pod, lab.Container{
		Name: "main", Image: image.id, Reference: image.reference, Privileged: scene.privileged,
	})
	switch {
	case err == nil:
		scene.seen = fmt.Sprintf("runs, prints %q", strings.TrimSpace(output))
		say("  it %s", scene.seen)
	case blocked(err):
		scene.seen = "blocked"
		say("  the pod's owner reads:\n%s", wrap(message(err), "    "))
	default:
		scene.seen = err.Error()
		say("  failed: %v", err)
	}
	return nil
}

// enforce changes the policy file and waits until the daemon has noticed.
func (s *stage) enforce(ctx context.Context, policies string) error {
	if policies == s.policies {
		return nil
	}
	const reloads = `portcullis_bundle_reloads_total{result="success"}`
	before, err := s.portcullisd.Metric(reloads)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.portcullisd.WritePolicies("policies.yaml", policies); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for now := before; now == before; {
		select {
		case <-ctx.Done():
			return errors.New("the changed policy file had no effect")
		case <-tick.C:
		}
		if now, err = s.portcullisd.Metric(reloads); err != nil {
			return err
		}
	}
	say("  policy file changed while everything runs; in force after %d ms", time.Since(began).Milliseconds())
	s.policies = policies
	return nil
}

func printJournal(entries []map[string]string) {
	say("\n$ journalctl MESSAGE_ID=%s", event.MessageID)
	for _, entry := range entries {
		say("%s", wrap(entry["MESSAGE"], "    "))
	}
	say("")
}

// printTable tells whether anything is different from what was expected. What the journal says of a
// scene's pod is part of what was seen.
func printTable(scenes []scene, entries []map[string]string) (different bool) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(title, want, seen string) {
		verdict := "ok"
		if seen != want {
			verdict, different = "DIFFERENT", true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", title, want, seen, verdict)
	}
	fmt.Fprintf(table, "SCENE\tEXPECTED\tSEEN\t\n")
	for _, scene := range scenes {
		row(scene.title, scene.want, scene.seen)
		row("    its journal", scene.wantEntry, journalOf(scene.pod, entries))
	}
	_ = table.Flush() // to standard output, as say
	return different
}

func journalOf(pod string, entries []map[string]string) string {
	found := []string{}
	for _, entry := range entries {
		if entry["PORTCULLIS_POD"] == pod {
			found = append(found, fmt.Sprintf("%s by %s", entry["PORTCULLIS_ACTION"], entry["PORTCULLIS_POLICY"]))
		}
	}
	if len(found) == 0 {
		return "none"
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// wrap breaks text into indented lines that fit a terminal.
func wrap(text, indent string) string {
	const width = 100
	var lines []string
	line := indent
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > width && line != indent {
			lines = append(lines, line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
