package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are those of the scripts, besides testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){"replace": replace, "exits": exits, "mode": mode}

// replace FILE: writes the file anew with ${VARIABLES} as they are.
func replace(ts *testscript.TestScript, neg bool, arguments []string) {
	if neg || len(arguments) != 1 {
		ts.Fatalf("usage: replace FILE")
	}
	file := ts.MkAbs(arguments[0])
	ts.Check(os.WriteFile(file, []byte(os.Expand(ts.ReadFile(arguments[0]), ts.Getenv)), 0o600))
}

// exits CODE PROGRAM...: the program ends with this very code.
func exits(ts *testscript.TestScript, neg bool, arguments []string) {
	if neg || len(arguments) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	want, err := strconv.Atoi(arguments[0])
	ts.Check(err)
	err = ts.Exec(arguments[1], arguments[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exits with %d, not %d", got, want)
	}
}

// mode PERMISSIONS FILE
func mode(ts *testscript.TestScript, neg bool, arguments []string) {
	if neg || len(arguments) != 2 {
		ts.Fatalf("usage: mode PERMISSIONS FILE")
	}
	info, err := os.Stat(ts.MkAbs(arguments[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != arguments[0] {
		ts.Fatalf("%s has the mode %s, not %s", arguments[1], got, arguments[0])
	}
}
