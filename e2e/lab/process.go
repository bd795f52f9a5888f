package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is one daemon of the node. What it prints goes to a file, which Log reads. Each daemon's own
// type embeds it.
type process struct {
	name  string
	log   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// startProcess starts cmd; what it prints is added to dir/name.log.
func startProcess(name, dir string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), cmd: cmd, ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // cmd.ProcessState has it
		close(p.ended)
	}()
	return p, nil
}

// readyPatience bounds the wait for a daemon that was started. It is generous: a loaded machine is no failure.
const readyPatience = 60 * time.Second

// await calls ready until it succeeds. It fails when the process ends or readyPatience is over, with the
// end of what the process printed.
func (p *process) await(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready: %s\n%s", p.name, p.cmd.ProcessState, tail(p.Log()))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, tail(p.Log()))
		case <-tick.C:
		}
	}
}

// stopPatience bounds the wait for a daemon that was asked to end.
const stopPatience = 20 * time.Second

// Stop asks the daemon to end, and fails when it had to be killed.
func (p *process) Stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopPatience):
		return errors.Join(fmt.Errorf("%s did not end when told to\n%s", p.name, tail(p.Log())), p.Kill())
	}
}

// over says whether the daemon has ended by itself, and well.
func (p *process) over() error {
	select {
	case <-p.ended:
	default:
		return fmt.Errorf("%s still runs", p.name)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %s", p.name, p.cmd.ProcessState)
	}
	return nil
}

// Kill ends the daemon as the kernel would, without a chance to clean up.
func (p *process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	return nil
}

// Ended is closed when the daemon has ended, whatever the reason.
func (p *process) Ended() <-chan struct{} { return p.ended }

// Log returns everything that the daemon has printed.
func (p *process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

// program finds an executable, or says what to install.
func program(name, install string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("the lab needs %s: %s", name, install)
	}
	return path, nil
}

// repository is the root of this project's tree, which holds the programs that make builds.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the repository: %s is not in it", start)
		}
	}
}

// PID is the daemon's process ID.
func (p *process) PID() int { return p.cmd.Process.Pid }
