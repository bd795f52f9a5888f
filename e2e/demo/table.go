package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"portcullis/event"
)

// recorded is what journal and central have kept.
type recorded struct{ journal, central []record }

// records shows the events, and returns them when central has as many as there should be.
func (s *stage) records(ctx context.Context, scenes []scene) (*recorded, error) {
	var want int
	for _, scene := range scenes {
		if scene.wantRecord != "none" {
			want++
		}
	}
	r := &recorded{}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // central gets to know within 2 s
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && len(r.central) < want {
		<-tick.C
		var err error
		if r.central, err = s.operator.events(); err != nil {
			return nil, err
		}
	}
	say("\n5. What was recorded: by the node in its journal, and by central for all nodes")
	say("  # journalctl MESSAGE_ID=%s", event.MessageID)
	entries, err := s.journal.Entries("MESSAGE_ID=" + event.MessageID)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		say("%s", wrap(entry["MESSAGE"], "  "))
		r.journal = append(r.journal, record{entry["PORTCULLIS_ACTION"], entry["PORTCULLIS_POLICY"], entry["PORTCULLIS_POD"]})
	}
	if _, err := s.operator.do("", "events"); err != nil {
		return nil, err
	}
	_, err = s.operator.do("", "get", "policies")
	return r, err
}

// printTable tells whether anything is different from what was expected. What journal and central say of a
// scene's pod is part of what was seen.
func printTable(scenes []scene, r *recorded) (different bool) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(title, want, seen string) {
		verdict := "ok"
		if seen != want {
			verdict, different = "DIFFERENT", true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", title, want, seen, verdict)
	}
	fmt.Fprintf(table, "\nSCENE\tEXPECTED\tSEEN\t\n")
	for _, scene := range scenes {
		row(scene.title, scene.want, scene.seen)
		row("    journal", scene.wantRecord, of(scene.pod, r.journal))
		row("    central", scene.wantRecord, of(scene.pod, r.central))
	}
	_ = table.Flush() // to standard output, as say
	return different
}

func of(pod string, records []record) string {
	found := []string{}
	for _, r := range records {
		if r.Pod == pod {
			found = append(found, fmt.Sprintf("%s by %s", r.Action, r.Policy))
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
