// Command demo shows what Portcullis does, on real parts: portcullis-central, containerd, runc, a registry, journald.
//
// It runs in namespaces of its own (package lab) and leaves nothing behind. The exit status is 1 when
// anything is seen that was not expected. With keep all of it stays until stop.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"portcullis/e2e/lab"
)

func main() { os.Exit(run()) }

func run() int {
	version := flag.String("containerd", "2.4", "version of containerd to run on: 1.6 or 2.4")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, `demo [--containerd 1.6]        show the demo
demo keep                      show it, and leave everything running
demo shell [COMMAND...]        work where the demo that was kept runs: portcullis, journalctl, …
demo start IMAGE [privileged]  start a container there as a kubelet would: clean, vulnerable, …
demo stop                      end it, and remove all that belongs to it`)
	}
	flag.Parse()
	containerd, arguments := "containerd-"+*version, flag.Args()
	if len(arguments) == 0 {
		return lab.Main(func() int { return program(containerd, show) })
	}
	var err error
	switch arguments[0] {
	case "keep":
		return launch(*version)
	case "kept": // as launch calls it
		return keep(func() int { return program(containerd, showAndStay) })
	case "shell":
		err = shell(arguments[1:])
	case "start":
		err = start(arguments[1:])
	case "stop":
		err = stop()
	default:
		flag.Usage()
		return 2
	}
	return exit(err)
}

func exit(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// patience bounds the demo, until it is shown.
const patience = 3 * time.Minute

// program is what runs in the lab.
func program(containerd string, do func(context.Context, string) (different bool, err error)) int {
	if !lab.Inside() {
		fmt.Fprintln(os.Stderr, "demo: it starts a container runtime and needs root; nothing outside its own namespaces is touched")
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	different, err := do(ctx, containerd)
	if err != nil || !different {
		return exit(err)
	}
	return 1
}

// show is the demo that ends.
func show(ctx context.Context, containerd string) (different bool, err error) {
	s, different, err := perform(ctx, containerd)
	if err != nil {
		return false, err
	}
	return different, s.tearDown(ctx)
}

// perform plays every scene and prints the table of what was expected and what was seen.
func perform(ctx context.Context, containerd string) (_ *stage, different bool, err error) {
	s, err := setUp(ctx, containerd)
	if err != nil {
		return nil, false, err
	}
	say("\n4. Containers are started, as a kubelet would")
	scenes := scenes()
	for i := range scenes {
		if err := s.play(ctx, &scenes[i]); err != nil {
			return nil, false, fmt.Errorf("%s: %w", scenes[i].title, err)
		}
	}
	recorded, err := s.records(ctx, scenes)
	if err != nil {
		return nil, false, err
	}
	return s, printTable(scenes, recorded), nil
}
