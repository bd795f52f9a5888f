package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portcullis/e2e/lab"
)

// What the demo that was kept leaves on the machine itself: a folder, removed by its end.
const (
	keptDir  = "/run/portcullis-demo"
	keptPID  = keptDir + "/pid"  // of the keeper, which holds a lock on this file while it lives
	keptInit = keptDir + "/init" // process ID of the lab's init
	keptLog  = keptDir + "/log"  // what it prints

	// consoleVariable tells the program in the lab at which port of the machine central is.
	consoleVariable = "PORTCULLIS_DEMO_CONSOLE"
)

// launch starts a keeper that outlives it, and shows what it prints until everything is there.
func launch(containerd string) int {
	if os.Geteuid() != 0 {
		return exit(errors.New("it starts a container runtime and needs root"))
	}
	if pid, err := keeper(); err != nil || pid != 0 {
		return exit(errors.Join(err, errors.New("a demo is kept running already; make demo-stop ends it")))
	}
	if err := errors.Join(os.RemoveAll(keptDir), os.Mkdir(keptDir, 0o700)); err != nil {
		return exit(err)
	}
	log, err := os.Create(keptLog)
	if err != nil {
		return exit(err)
	}
	defer log.Close()
	kept := exec.Command("/proc/self/exe", "--containerd", containerd, "kept")
	kept.Args[0] = os.Args[0]
	kept.Stdout, kept.Stderr = log, log
	kept.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this terminal
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	if err := kept.Start(); err != nil {
		return exit(err)
	}
	ended := make(chan struct{})
	go func() { _ = kept.Wait(); close(ended) }() // its ProcessState says how
	shown, err := os.Open(keptLog)
	if err != nil {
		return exit(err)
	}
	defer shown.Close()
	for {
		select {
		case <-signals:
			_ = kept.Process.Signal(unix.SIGTERM) // fails only when it has ended
			<-ended
			return exit(errors.Join(errors.New("interrupted; nothing is left"), os.RemoveAll(keptDir)))
		case <-ended:
			_, _ = io.Copy(os.Stdout, shown) // what can be shown
			return exit(errors.Join(fmt.Errorf("it ended: %s", kept.ProcessState), os.RemoveAll(keptDir)))
		case <-time.After(50 * time.Millisecond):
		}
		status := ready()
		_, _ = io.Copy(os.Stdout, shown) // what can be shown
		if status >= 0 {
			return status
		}
	}
}

// keep is the keeper: it holds the lab, and central's port on this machine.
func keep(inLab func() int) int {
	if lab.Inside() { // of one of the lab's own processes
		return lab.Main(inLab)
	}
	pid, err := os.Create(keptPID)
	if err != nil {
		return exit(err)
	}
	defer pid.Close()
	if err := errors.Join(unix.Flock(int(pid.Fd()), unix.LOCK_EX|unix.LOCK_NB), writePID(keptPID, os.Getpid())); err != nil {
		return exit(err)
	}
	listener, err := net.Listen("tcp", "localhost:8443")
	if err != nil {
		listener, err = net.Listen("tcp", "localhost:0")
	}
	if err != nil {
		return exit(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // it is one
	if err := os.Setenv(consoleVariable, "https://localhost:"+port); err != nil {
		return exit(err)
	}
	status := lab.MainBeside(inLab, func(init int) {
		if err := writePID(keptInit, init); err != nil {
			exit(err)
		}
		forward(listener, init)
	})
	return status
}

func writePID(file string, pid int) error {
	return os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o600)
}

func readPID(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// keeper returns the process ID of the keeper that runs, 0 for none.
func keeper() (int, error) {
	file, err := os.Open(keptPID)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0, nil
	}
	return readPID(keptPID)
}

// ready returns the exit status of the demo that is now kept, -1 while it is still shown.
func ready() int {
	files, err := filepath.Glob(inside("/run/portcullis-lab-*/" + readyFile))
	if err != nil || len(files) != 1 {
		return -1
	}
	status, err := readPID(files[0])
	if err != nil {
		return -1
	}
	return status
}

// inside is where the machine sees a path of the lab.
func inside(path string) string {
	init, err := readPID(keptInit)
	if err != nil {
		return "/nonexistent"
	}
	return filepath.Join("/proc", strconv.Itoa(init), "root", path)
}

// stop ends the demo that was kept; its keeper's own end removes processes, mounts, namespaces and cgroups.
func stop() error {
	pid, err := keeper()
	if err != nil {
		return err
	}
	if pid == 0 {
		say("No demo is kept running.")
		return os.RemoveAll(keptDir)
	}
	before, _ := os.ReadFile(keptLog)
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for pid != 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d does not end", pid)
		case <-time.After(50 * time.Millisecond):
		}
		if pid, err = keeper(); err != nil {
			return err
		}
	}
	after, _ := os.ReadFile(keptLog)
	if complaint := strings.TrimSpace(strings.TrimPrefix(string(after), string(before))); complaint != "" {
		return errors.Join(errors.New(complaint), os.RemoveAll(keptDir))
	}
	say("The demo has ended, and left nothing behind.")
	return os.RemoveAll(keptDir)
}
