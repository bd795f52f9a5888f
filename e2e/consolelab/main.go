// Command consolelab gives the console's browser tests what they are about: a central, a node that joined it, and an
// OpenID provider. It runs the command that its arguments are beside them, and ends with that command's status.
//
// The command learns by its environment where they are:
//
//	PORTCULLIS_URL       of central; its admin is "admin"
//	PORTCULLIS_PASSWORD  of that admin
//	PORTCULLIS_NODE      where containers are started on the node (hook.go)
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"portcullis/e2e/lab"
)

func main() { os.Exit(lab.Main(run)) }

func run() int {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: consolelab command [argument]…")
		return 2
	}
	if !lab.Inside() {
		fmt.Fprintln(os.Stderr, "consolelab: it starts a container runtime and needs root; nothing outside its own namespaces is touched")
		return 1
	}
	w, err := setUp()
	if err != nil {
		fmt.Fprintln(os.Stderr, "consolelab:", err)
		return 1
	}
	status := w.run(os.Args[1:])
	if status != 0 {
		fmt.Fprintf(os.Stderr, "log of portcullis-central:\n%s\nlog of portcullisd:\n%s\n", w.central.Log(), w.portcullisd.Log())
	}
	if err := w.tearDown(); err != nil {
		fmt.Fprintln(os.Stderr, "consolelab:", err)
		return 1
	}
	return status
}

// run runs the command to its end.
func (w *world) run(command []string) (status int) {
	c := exec.Command(command[0], command[1:]...) //nolint:gosec // what the caller wants run
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), "PORTCULLIS_URL="+w.central.URL, "PORTCULLIS_PASSWORD="+lab.CentralPassword, "PORTCULLIS_NODE="+w.hook.URL)
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "consolelab:", err)
		return 1
	}
}
