package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal asks people, or reads the answers from what stands in for them, line by line.
type terminal struct {
	in     *bufio.Reader
	fd     int // of the keyboard, -1 where nobody sits
	errOut io.Writer
}

func newTerminal(command *cobra.Command) *terminal {
	t := &terminal{in: bufio.NewReader(command.InOrStdin()), fd: -1, errOut: command.ErrOrStderr()}
	if file, ok := command.InOrStdin().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		t.fd = int(file.Fd())
	}
	return t
}

func (t *terminal) attended() bool { return t.fd >= 0 }

var errNoAnswer = errors.New("the input ended")

// line asks for one line. Nobody is asked where nobody sits.
func (t *terminal) line(question string) (string, error) {
	if t.attended() {
		fmt.Fprintf(t.errOut, "%s", question)
	}
	// More than a line of any length that is meant is not read.
	var text []byte
	for len(text) < 4096 {
		b, err := t.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && len(text) > 0, err == nil && b == '\n':
			return strings.TrimSuffix(string(text), "\r"), nil
		case errors.Is(err, io.EOF):
			return "", errNoAnswer
		case err != nil:
			return "", err
		}
		text = append(text, b)
	}
	return "", errors.New("the input's line is too long")
}

// secret asks for a line that is not shown.
func (t *terminal) secret(question string) (string, error) {
	if !t.attended() {
		return t.line(question)
	}
	before, err := term.GetState(t.fd)
	if err != nil {
		return "", err
	}
	// Whoever gives up must find the terminal as it was.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, unix.SIGINT, unix.SIGTERM)
	defer signal.Stop(interrupted)
	fmt.Fprintf(t.errOut, "%s", question)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(t.fd)
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		fmt.Fprintln(t.errOut)
		if errors.Is(a.err, io.EOF) {
			a.err = errNoAnswer
		}
		return string(a.text), a.err
	case <-interrupted:
		fmt.Fprintln(t.errOut)
		return "", errors.Join(errors.New("interrupted"), term.Restore(t.fd, before))
	}
}

// newPassword asks twice where somebody sits.
func (t *terminal) newPassword(whose string) (string, error) {
	password, err := t.secret("New password" + whose + ": ")
	if err != nil || !t.attended() {
		return password, err
	}
	again, err := t.secret("The same again: ")
	if err == nil && again != password {
		err = errors.New("the two are not the same; nothing was changed")
	}
	return password, err
}

// readSecretFile reads a token from a file, or from the input for -.
func (t *terminal) readSecretFile(path string) (string, error) {
	if path == "-" {
		return t.secret("Token: ")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(token) > 4096 || strings.ContainsAny(token, " \n\r\t") {
		return "", fmt.Errorf("%s does not hold a token and nothing else", path)
	}
	return token, nil
}
