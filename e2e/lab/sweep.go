package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sweep is outside's handle on its helper: the writing end of a pipe that the kernel closes when
// outside ends, even by SIGKILL.
type sweep struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func startSweep(lab string) (*sweep, error) {
	cmd := stageCommand(stageSweep, lab)
	cmd.Stderr = os.Stderr
	// A session of its own, so that neither Ctrl-C nor a kill of the process group ends it early.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	return &sweep{cmd: cmd, pipe: pipe}, nil
}

// finish sweeps, and fails when the lab left something behind.
func (s *sweep) finish() error {
	if err := s.pipe.Close(); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// sweepPatience bounds the wait for the kernel to end the processes of the lab.
const sweepPatience = 10 * time.Second

func sweepMain() int {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return fail(err)
	}
	// No event tells that a cgroup has become empty on every kind of host.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(sweepPatience); ; <-tick.C {
		removeErr := removeCgroups(labName())
		left, err := leftovers(labName())
		switch {
		case err != nil:
			return fail(err)
		case len(left) == 0:
			return 0
		case time.Now().After(deadline):
			for _, thing := range left {
				fmt.Fprintln(os.Stderr, "lab: left behind:", thing)
			}
			return fail(errors.Join(errors.New("the lab left something behind"), removeErr))
		}
	}
}

// leftovers describes everything outside the namespaces that bears the lab's name.
func leftovers(lab string) ([]string, error) {
	processes, err := processesOf(lab)
	if err != nil {
		return nil, err
	}
	mounts, err := mountsOf(lab)
	if err != nil {
		return nil, err
	}
	cgroups, err := cgroupsOf(lab)
	if err != nil {
		return nil, err
	}
	left := append(append(processes, mounts...), cgroups...)
	for _, dir := range []string{"/run", os.TempDir()} {
		folder := filepath.Join(dir, lab)
		if _, err := os.Lstat(folder); err == nil {
			left = append(left, "folder "+folder)
		}
	}
	return left, nil
}

// processesOf finds the processes with the lab's name in their environment, command line or cgroup.
func processesOf(lab string) ([]string, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("processes of the lab: %w", err)
	}
	var found []string
	for _, dir := range dirs {
		if pid, _ := strconv.Atoi(filepath.Base(dir)); pid == os.Getpid() {
			continue
		}
		for _, file := range []string{"environ", "cmdline", "cgroup"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err == nil && bytes.Contains(text, []byte(lab)) {
				cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
				found = append(found, fmt.Sprintf("process %s %q", filepath.Base(dir), cmdline))
				break
			}
		}
	}
	return found, nil
}

func mountsOf(lab string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("mounts of the lab: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, lab) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	return found, nil
}
