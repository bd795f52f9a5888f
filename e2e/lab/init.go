package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// initMain is PID 1: when it returns, the kernel kills whatever is left in the namespaces.
func initMain() int {
	if err := furnish(); err != nil {
		return fail(fmt.Errorf("furnishing the namespaces: %w", err))
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	program, err := startProgram()
	if err != nil {
		return fail(err)
	}
	go func() {
		for s := range signals {
			_ = syscall.Kill(program, s.(syscall.Signal)) // fails only when it has ended, which Wait4 tells
		}
	}()
	status, err := reapUntil(program)
	if err != nil {
		return fail(err)
	}
	return exitStatus(status)
}

func startProgram() (pid int, err error) {
	tmp, err := Dir("tmp")
	if err != nil {
		return 0, err
	}
	cmd := stageCommand(stageProgram, labName())
	process, err := os.StartProcess(cmd.Path, cmd.Args, &os.ProcAttr{
		Env:   append(cmd.Env, "TMPDIR="+tmp),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the program: %w", err)
	}
	return process.Pid, nil
}

// reapUntil collects every process that ends, for orphans (shims, what they leave) become children of
// PID 1, until pid does.
func reapUntil(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("waiting for the program: %w", err)
		case ended == pid:
			return status, nil
		}
	}
}

// furnish makes the namespaces a machine of their own: nothing that is written below /run, /etc or
// /var/lib reaches the host. (The CNI library keeps its results in /var/lib/cni, and no option moves them.)
func furnish() error {
	// First of all: no mount made from here on may spread to the host.
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/var/lib"} {
		if err := overlay(dir); err != nil {
			return err
		}
	}
	if err := ensureMachineID(); err != nil {
		return err
	}
	return bringUpLoopback()
}

// overlay makes writes below dir go to memory.
func overlay(dir string) error {
	upper := filepath.Join(root(), "overlay", dir, "upper")
	work := filepath.Join(root(), "overlay", dir, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil { //nolint:gosec // the mode that dir has, as others see it
			return fmt.Errorf("overlay of %s: %w", dir, err)
		}
	}
	return mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work))
}

// ensureMachineID gives a machine without systemd the ID that journald names its files by.
func ensureMachineID() error {
	const file = "/etc/machine-id"
	id, err := os.ReadFile(file)
	if err == nil && len(bytes.TrimSpace(id)) == 32 {
		return nil
	}
	// A bare container image may have it as a link into /run, which is empty here.
	if err := os.RemoveAll(file); err != nil {
		return fmt.Errorf("machine ID: %w", err)
	}
	newID := randomHex() + randomHex() + randomHex() + randomHex()
	if err := os.WriteFile(file, []byte(newID+"\n"), 0o600); err != nil {
		return fmt.Errorf("machine ID: %w", err)
	}
	return nil
}

func bringUpLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer func() { _ = unix.Close(socket) }() // nothing was written
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", kind, target, err)
	}
	return nil
}
