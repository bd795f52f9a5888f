package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CLI is the command line of one person, with a folder of its own to work in and to remember centrals in.
type CLI struct {
	Dir  string
	path string
}

// NewCLI makes one that knows no central yet.
func NewCLI(name string) (*CLI, error) {
	path, err := built("portcullis")
	if err != nil {
		return nil, err
	}
	dir, err := Dir(name)
	return &CLI{Dir: dir, path: path}, err
}

// Printed is what a command left.
type Printed struct {
	Out, Problem string
	Status       int
}

// Command is a command line that has not been started yet.
func (c *CLI) Command(arguments ...string) *exec.Cmd {
	command := exec.Command(c.path, arguments...)
	command.Dir = c.Dir
	command.Env = append(os.Environ(), "XDG_CONFIG_HOME="+c.Home())
	return command
}

// Home is the folder in which the command line remembers centrals, as XDG_CONFIG_HOME.
func (c *CLI) Home() string { return filepath.Join(c.Dir, ".config") }

// Run runs a command with an input. The error is that it did not end by itself.
func (c *CLI) Run(input string, arguments ...string) (Printed, error) {
	var out, problem bytes.Buffer
	command := c.Command(arguments...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &problem
	err := command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	if err != nil {
		return Printed{}, fmt.Errorf("portcullis %q: %w", arguments, err)
	}
	return Printed{out.String(), problem.String(), command.ProcessState.ExitCode()}, nil
}

// Authority is the file with the certificate by which central is known.
func (c *Central) Authority() string { return filepath.Join(c.dir, "data", "ca.crt") }
