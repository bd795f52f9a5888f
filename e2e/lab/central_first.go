package lab

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
)

// FirstCentral is a portcullis-central as a newcomer starts it: without configuration, in the places that are
// the default, which in the lab are its own.
type FirstCentral struct {
	URL       string
	Authority string // file with its certificate
	Path      string // of the executable
	*process
}

// StartFirstCentral starts the one that a lab can have, and waits until it has said who may log in.
func StartFirstCentral() (*FirstCentral, error) {
	dir, err := Dir("first-central")
	if err != nil {
		return nil, err
	}
	path, err := built("portcullis-central")
	if err != nil {
		return nil, err
	}
	c := &FirstCentral{URL: "https://localhost:8443", Authority: "/var/lib/portcullis-central/ca.crt", Path: path}
	if c.process, err = startProcess("portcullis-central", dir, exec.Command(path)); err != nil {
		return nil, err
	}
	return c, c.await(func(ctx context.Context) error {
		if c.OneTimePassword() == "" {
			return errors.New("no password is printed yet")
		}
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", "localhost:8443")
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// OneTimePassword is the first admin's, as central has printed it.
func (c *FirstCentral) OneTimePassword() string {
	_, after, _ := strings.Cut(c.Log(), "one-time password ")
	password, _, complete := strings.Cut(after, "\n")
	if !complete {
		return ""
	}
	return password
}
