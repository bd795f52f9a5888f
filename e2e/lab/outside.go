package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// outsideMain runs init in new namespaces until it ends, and has sweep clean up after it.
func outsideMain(beside func(init int)) int {
	// The kernel sends a child its Pdeathsig when the thread that started it ends, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if err := checkCgroups(); err != nil {
		return fail(err)
	}
	lab := "portcullis-lab-" + randomHex()
	sweep, err := startSweep(lab)
	if err != nil {
		return fail(err)
	}
	status, err := runInit(lab, beside)
	if err != nil {
		status = fail(err)
	}
	if err := sweep.finish(); err != nil && status == 0 {
		status = fail(err)
	}
	return status
}

// runInit returns the exit status that init passes on from the program.
func runInit(lab string, beside func(init int)) (int, error) {
	init := stageCommand(stageInit, lab)
	init.Stdout, init.Stderr = os.Stdout, os.Stderr
	init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig: syscall.SIGKILL,
		// Ctrl-C goes to every process of the terminal's session: containerd must not be one of them.
		Setsid: true,
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := init.Start(); err != nil {
		return 0, fmt.Errorf("making namespaces (root with CAP_SYS_ADMIN is needed): %w", err)
	}
	go func() {
		for s := range signals {
			_ = init.Process.Signal(s) // fails only when it has ended, which Wait tells
		}
	}()
	go beside(init.Process.Pid)
	var exit *exec.ExitError
	if err := init.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("waiting for the lab: %w", err)
	}
	return exitStatus(init.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// forwarded are the signals that outside and init hand on to the program. SIGQUIT is how go test asks
// a test that takes too long for its stacks.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// stageCommand starts this executable again, also when its file has been removed or mounted over.
func stageCommand(stage, lab string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), stageVariable+"="+stage, nameVariable+"="+lab)
	return cmd
}

func exitStatus(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func randomHex() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}
