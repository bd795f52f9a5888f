package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Portcullis runs the command line for people and returns what it prints and its exit status.
func Portcullis(arguments ...string) (output string, status int, err error) {
	path, err := built("portcullis")
	if err != nil {
		return "", 0, err
	}
	command := exec.Command(path, arguments...)
	var problem bytes.Buffer
	command.Stderr = &problem
	printed, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() && problem.Len() == 0 {
		return string(printed), exit.ExitCode(), nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("portcullis %q: %w: %s", arguments, err, problem.String())
	}
	return string(printed), 0, nil
}

// Scanner looks into images as an operator's pipeline would.
type Scanner struct {
	Clamd      *Clamd
	Advisories string // folder of the OSV database
	Runtime    string // socket of the containerd that has the images
}

// Scan writes the verdict of an image into a folder.
func (s *Scanner) Scan(reference, folder string) error {
	if _, err := built("portcullis-scan"); err != nil { // beside portcullis, where it looks for it
		return err
	}
	_, status, err := Portcullis("scan", "--quiet", "--runtime", s.Runtime, "--clamd", "unix://"+s.Clamd.Socket, "--osv-db", s.Advisories, "--output", folder, reference)
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	if err != nil {
		return fmt.Errorf("scan of %s: %w", reference, err)
	}
	return nil
}

// building keeps two tests from making the same copy.
var building sync.Mutex

// built finds what make build has left in bin. It gives a copy, for a build while the lab runs must not
// exchange a daemon between its stop and its start.
func built(name string) (string, error) {
	building.Lock()
	defer building.Unlock()
	dir, err := Dir("bin")
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, name)
	if _, err := os.Stat(copied); err == nil {
		return copied, nil
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	path, err := program(filepath.Join(root, "bin", name), "make build")
	if err != nil {
		return "", err
	}
	// Another process writes it: whatever this one has open for writing, a child that is just being
	// started has too, and then the kernel runs it for nobody.
	if output, err := exec.Command("cp", path, copied).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copying %s: %w: %s", name, err, output)
	}
	return copied, nil
}

// StartPortcullis starts the command line, for tests that do more to it than wait for its end.
func StartPortcullis(arguments ...string) (*exec.Cmd, error) {
	path, err := built("portcullis")
	if err != nil {
		return nil, err
	}
	command := exec.Command(path, arguments...)
	return command, command.Start()
}
