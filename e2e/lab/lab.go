// Package lab answers: how do the tests and the demo get a real node of their own?
//
// A node is a container runtime, its containers, their networks and cgroups, a journal and an image
// registry: things that outlive the process that made them. So Main runs a program in mount, PID,
// network, IPC and UTS namespaces of its own, in four stages, all of them the same executable:
//
//	outside  what the user started: forwards signals, passes the exit status on    (outside.go)
//	sweep    its helper: removes cgroups and reports leaks when outside has ended  (sweep.go)
//	init     PID 1 of the namespaces: furnishes them, reaps orphans                (init.go)
//	program  the tests or the demo, with Inside() == true
//
// When init ends the kernel ends everything in the namespaces, whatever the reason: success, failure,
// Ctrl-C or SIGKILL of any stage. Files live in a tmpfs that nobody outside ever sees. What no
// namespace holds, the cgroups, bear the lab's name, and sweep removes them.
//
// The parts of the node are one file each: containerd.go, journal.go, registry.go, images.go, cri.go,
// portcullisd.go and kubelet.go. central.go and central_first.go are central, cli.go is who tells it what to do.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
)

// Stages are told apart, and learn the lab's name, by these variables of their environment.
const (
	stageVariable = "PORTCULLIS_LAB_STAGE"
	nameVariable  = "PORTCULLIS_LAB"

	stageSweep   = "sweep"
	stageInit    = "init"
	stageProgram = "program"
)

// statusBroken is the exit status of a lab that could not be made, or that left something behind.
const statusBroken = 1

// Main runs program in a lab and returns the exit status for os.Exit. Call it first thing in main or
// TestMain. Without root there is no lab: program runs where it is and finds Inside() false.
func Main(program func() int) int { return MainBeside(program, func(int) {}) }

// MainBeside is Main, and meanwhile runs beside on the machine itself, with the process ID of the lab's init:
// the way into its namespaces.
func MainBeside(program func() int, beside func(init int)) int {
	stage := os.Getenv(stageVariable)
	// What the program starts is no stage of this lab.
	if err := os.Unsetenv(stageVariable); err != nil {
		return fail(err)
	}
	switch {
	case stage == stageSweep:
		return sweepMain()
	case stage == stageInit:
		return initMain()
	case stage == stageProgram || os.Geteuid() != 0:
		return program()
	}
	return outsideMain(beside)
}

// Inside says whether the caller runs in a lab.
func Inside() bool { return labName() != "" }

// Dir makes the named folder in the lab, in memory, for one part of the node. Its path is short, for
// a unix socket's path may have 107 characters only.
func Dir(name string) (string, error) {
	dir := filepath.Join(root(), name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("lab folder: %w", err)
	}
	return dir, nil
}

// labName is the lab's own name. It stands in every process's environment and in every path and cgroup of the
// lab, so that what belongs to it can be told from outside.
func labName() string { return os.Getenv(nameVariable) }

func root() string { return filepath.Join("/run", labName()) }

// cgroupParent holds every cgroup that the lab makes, as the runtime names it.
func cgroupParent() string { return "/" + labName() }

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "lab:", err)
	return statusBroken
}
