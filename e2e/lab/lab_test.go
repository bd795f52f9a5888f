package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const programVariable = "LAB_TEST_PROGRAM"

// programs are what the tests, which themselves run outside, run in labs.
var programs = map[string]func() int{
	"exit-7":  func() int { return 7 },
	"killed":  func() int { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); return 0 },
	"waiting": waitForEver,
	"node": func() int {
		if err := runNode(); err != nil {
			return fail(err)
		}
		return waitForEver()
	},
}

// waitForEver tells the lab's name, by which its test knows that everything is up.
func waitForEver() int {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR2)
	fmt.Println(labName())
	<-never
	return 0
}

func TestMain(m *testing.M) {
	if program, ok := programs[os.Getenv(programVariable)]; ok {
		os.Exit(Main(program))
	}
	os.Exit(m.Run())
}

// runNode makes some of everything that can be left behind.
func runNode() error {
	if _, err := StartJournal(); err != nil {
		return err
	}
	registry, err := StartRegistry()
	if err != nil {
		return err
	}
	images, err := NewImages()
	if err != nil {
		return err
	}
	pause, err := images.Image("pause", "pause")
	if err != nil {
		return err
	}
	reference, err := registry.Push("lab/pause:v1", pause)
	if err != nil {
		return err
	}
	containerd, err := StartContainerd("containerd", Containerds()[0], reference)
	if err != nil {
		return err
	}
	cri, err := Dial(containerd.Socket)
	if err != nil {
		return err
	}
	sandbox, err := cri.RunPod(context.Background(), Pod{Name: "left-behind", Privileged: true})
	if err != nil {
		return err
	}
	_, err = cri.Create(context.Background(), sandbox, Container{Name: "created", Image: reference})
	return err
}

func TestExitStatusIsThePrograms(t *testing.T) {
	needRoot(t)
	require.Equal(t, 7, startLab(t, "exit-7").wait())
	require.Equal(t, 128+int(syscall.SIGKILL), startLab(t, "killed").wait())
}

func TestNothingIsLeftBehind(t *testing.T) {
	needRoot(t)
	for how, end := range map[string]func(*testing.T, *runningLab){
		"Ctrl-C":               func(t *testing.T, l *runningLab) { kill(t, l.cmd.Process.Pid, syscall.SIGINT) },
		"SIGTERM":              func(t *testing.T, l *runningLab) { kill(t, l.cmd.Process.Pid, syscall.SIGTERM) },
		"SIGKILL":              func(t *testing.T, l *runningLab) { kill(t, l.cmd.Process.Pid, syscall.SIGKILL) },
		"SIGKILL of its group": func(t *testing.T, l *runningLab) { kill(t, -l.cmd.Process.Pid, syscall.SIGKILL) },
		"SIGKILL of its PID 1": func(t *testing.T, l *runningLab) { kill(t, l.pidOne(t), syscall.SIGKILL) },
	} {
		t.Run(how, func(t *testing.T) {
			lab := startLab(t, "node")
			name := lab.name(t)
			left, err := leftovers(name)
			require.NoError(t, err)
			require.Contains(t, strings.Join(left, "\n"), "process", "a node that runs must be seen")
			require.Contains(t, strings.Join(left, "\n"), "cgroup", "a node that runs must be seen")

			end(t, lab)

			require.NotZero(t, lab.wait())
			require.Eventually(t, func() bool {
				left, err = leftovers(name)
				return err == nil && len(left) == 0
			}, sweepPatience, 10*time.Millisecond, "left behind")
		})
	}
}

func TestLeakIsReported(t *testing.T) {
	needRoot(t)
	t.Parallel() // sweep gives the leak time to go
	lab := startLab(t, "waiting")
	name := lab.name(t)
	leak := exec.Command("sleep", "600")
	leak.Env = []string{nameVariable + "=" + name}
	require.NoError(t, leak.Start())
	t.Cleanup(func() { _ = leak.Process.Kill(); _ = leak.Wait() })

	kill(t, lab.pidOne(t), syscall.SIGKILL)

	lab.wait()
	require.Contains(t, lab.stderr.String(), fmt.Sprintf("left behind: process %d", leak.Process.Pid))
}

func needRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a lab needs root")
	}
}

// runningLab is this test binary, running one of programs in a lab.
type runningLab struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func startLab(t *testing.T, program string) *runningLab {
	l := &runningLab{cmd: exec.Command("/proc/self/exe")}
	l.cmd.Env = append(os.Environ(), programVariable+"="+program)
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	l.cmd.Stderr = &l.stderr
	stdout, err := l.cmd.StdoutPipe()
	require.NoError(t, err)
	l.stdout = bufio.NewReader(stdout)
	require.NoError(t, l.cmd.Start())
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	return l
}

// name waits until the program says that it is up.
func (l *runningLab) name(t *testing.T) string {
	line, err := l.stdout.ReadString('\n')
	if err != nil {
		l.wait()
		t.Fatalf("the program ended: %s", l.stderr.String())
	}
	return strings.TrimSpace(line)
}

func (l *runningLab) wait() int {
	_ = l.cmd.Wait()
	return exitStatus(l.cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// pidOne finds init: the child of outside that is in another PID namespace.
func (l *runningLab) pidOne(t *testing.T) int {
	own, err := os.Readlink("/proc/self/ns/pid")
	require.NoError(t, err)
	pid := strconv.Itoa(l.cmd.Process.Pid)
	tasks, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	require.NoError(t, err)
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		require.NoError(t, err)
		for _, child := range strings.Fields(string(children)) {
			if namespace, err := os.Readlink("/proc/" + child + "/ns/pid"); err == nil && namespace != own {
				pid, err := strconv.Atoi(child)
				require.NoError(t, err)
				return pid
			}
		}
	}
	t.Fatal("the lab has no PID 1")
	return 0
}

func kill(t *testing.T, pid int, signal syscall.Signal) {
	require.NoError(t, syscall.Kill(pid, signal))
}
