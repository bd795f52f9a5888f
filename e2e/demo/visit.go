package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
	"portcullis/event"
)

// Files of the lab's folder "kept": the first is there when everything is, the second prepares a shell.
const (
	readyFile = "kept/ready"
	shellFile = "kept/shell"
)

// showAndStay is the demo that stays until it is told to end.
func showAndStay(ctx context.Context, containerd string) (different bool, err error) {
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, unix.SIGINT, unix.SIGTERM)
	ended := make(chan error, 1)
	go func() {
		s, different, err := perform(ctx, containerd)
		if err == nil {
			err = s.welcome(different)
		}
		if err != nil {
			ended <- err
		}
	}()
	select {
	case <-stopped: // the lab ends all that runs in it
		return false, nil
	case err := <-ended:
		return false, err
	}
}

// welcome says how to look around.
func (s *stage) welcome(different bool) error {
	dir, err := lab.Dir("kept")
	if err != nil {
		return err
	}
	prepare := fmt.Sprintf("export XDG_CONFIG_HOME=%s PATH=%s:$PATH PS1='demo-node:\\w# '\ncd %s\n", s.operator.Home(), filepath.Dir(s.central.Path), s.operator.Dir)
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(shellFile)), []byte(prepare), 0o600); err != nil {
		return fmt.Errorf("preparing shells: %w", err)
	}
	demo, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, demo); err == nil {
			demo = relative
		}
	}
	say(guide, os.Getenv(consoleVariable), adminPassword, demo, event.MessageID)
	status := map[bool]string{true: "1", false: "0"}[different]
	temporary := filepath.Join(dir, "writing")
	if err := os.WriteFile(temporary, []byte(status), 0o600); err != nil {
		return fmt.Errorf("saying that everything is there: %w", err)
	}
	return os.Rename(temporary, filepath.Join(dir, filepath.Base(readyFile)))
}

const guide = `
Everything goes on running.

  The console        %[1]s in a browser on this machine
                     The certificate is of the demo's own authority, which the browser does not know.
  Log in as          admin, password: %[2]s
                     Another one, which ends all logins: %[3]s shell portcullis-central reset-password admin

  A shell there      %[3]s shell      then for example:
                       portcullis get policies
                       portcullis describe policy "no criticals"
                       portcullis get images
                       portcullis events --follow
                       portcullis disable policy "no secrets"
                       portcullis nodes list -o wide
                       journalctl MESSAGE_ID=%[4]s
  or one command     %[3]s shell portcullis events -o wide

  Start a container  %[3]s start clean
  through Portcullis %[3]s start vulnerable     also: infected, leaking, careless
                     %[3]s start clean privileged

  Stop it            make demo-stop      ends and removes all of it: processes, mounts, namespaces, cgroups, folders`

// forward takes connections on this machine to central in the lab.
func forward(listener net.Listener, init int) {
	for {
		outer, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer outer.Close()
			inner, err := dialInside(init, "127.0.0.1:8443")
			if err != nil {
				return // central does not run yet
			}
			defer inner.Close()
			go func() { _, _ = io.Copy(inner, outer); _ = inner.(*net.TCPConn).CloseWrite() }() // either side may leave
			_, _ = io.Copy(outer, inner)
		}()
	}
}

// dialInside connects to an address in the network of another process.
func dialInside(pid int, address string) (net.Conn, error) {
	type result struct {
		net.Conn
		error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread has another network, and ends with this function
		namespace, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		connection, err := net.DialTimeout("tcp", address, 5*time.Second)
		done <- result{connection, err}
	}()
	r := <-done
	return r.Conn, r.error
}

// enter makes this process one in the lab of the demo that was kept.
func enter(command ...string) error {
	init, err := readPID(keptInit)
	if pid, keeping := keeper(); err != nil || keeping != nil || pid == 0 || ready() < 0 {
		return errors.New("no demo is kept running; make demo KEEP=1 starts one")
	}
	files, err := filepath.Glob(inside("/run/portcullis-lab-*"))
	if err != nil || len(files) != 1 {
		return errors.Join(errors.New("the demo's folder is not found"), err)
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	name := filepath.Base(files[0])
	arguments := append([]string{
		"nsenter", "--target", strconv.Itoa(init), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
		"env", "PORTCULLIS_LAB=" + name, "TMPDIR=/run/" + name + "/tmp",
	}, command...)
	return unix.Exec(nsenter, arguments, os.Environ())
}

// shell runs a command in the lab, or one that asks for commands.
func shell(command []string) error {
	files, _ := filepath.Glob(inside("/run/portcullis-lab-*/" + shellFile))
	if len(files) != 1 {
		return enter() // says why
	}
	prepare := strings.TrimPrefix(files[0], inside("/"))
	if !strings.HasPrefix(prepare, "/") {
		prepare = "/" + prepare
	}
	if len(command) == 0 {
		return enter("bash", "--rcfile", prepare, "-i")
	}
	return enter(append([]string{"bash", "-c", `. "$0" && exec "$@"`, prepare}, command...)...)
}

// start starts a container as a kubelet would, and says what came of it.
func start(arguments []string) error {
	if len(arguments) == 0 || len(arguments) > 2 || len(arguments) == 2 && arguments[1] != "privileged" {
		return errors.New("write start IMAGE, or start IMAGE privileged; images: clean, vulnerable, infected, leaking, careless")
	}
	if !lab.Inside() {
		executable, err := os.Executable()
		if err != nil {
			return err
		}
		return enter(append([]string{executable, "start"}, arguments...)...)
	}
	dir, err := lab.Dir(nodeName)
	if err != nil {
		return err
	}
	node, err := lab.Dial(filepath.Join(dir, "run", "portcullis.sock"))
	if err != nil {
		return err
	}
	defer func() { _ = node.Close() }() // this program ends
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	image, err := find(ctx, node, arguments[0])
	if err != nil {
		return err
	}
	pod := lab.Pod{Name: "visitor-" + strconv.Itoa(os.Getpid()), Namespace: "demo", Privileged: len(arguments) == 2}
	output, err := startContainer(ctx, node, pod, image)
	if blocked(err) {
		return errors.New(message(err))
	}
	if err == nil {
		say("It runs, and prints %q.", strings.TrimSpace(output))
	}
	return err
}

// find is the image of the demo that has a name.
func find(ctx context.Context, node *lab.CRI, name string) (image, error) {
	listed, err := node.Images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return image{}, err
	}
	for _, i := range listed.GetImages() {
		for _, tag := range i.GetRepoTags() {
			if strings.HasSuffix(tag, "/demo/"+name+":v1") {
				return image{id: i.GetId(), reference: tag}, nil
			}
		}
	}
	return image{}, fmt.Errorf("there is no image %q; write clean, vulnerable, infected, leaking or careless", name)
}
