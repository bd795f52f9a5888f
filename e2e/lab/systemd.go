package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Systemd is a real systemd, PID 1 of a namespace of its own, with no units but Portcullis'. It shares the
// lab's /run and network. There can be one at a time.
type Systemd struct {
	units string // folder
	*process
}

// targets are the ones that units and systemd itself take for granted. Here they are empty.
var targets = []string{"sysinit", "basic", "sockets", "multi-user", "shutdown", "umount"}

// makeRoot moves the shell into a cgroup of its own in each hierarchy ($0), makes the namespaces, furnishes them
// as systemd expects them, and becomes systemd.
const makeRoot = `set -e
hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/self/mounts; }
hierarchies | while read -r path kind options; do
  mkdir -p "$path/$0"
  for inherited in cpuset.cpus cpuset.mems; do
    if [ "$kind" = cgroup ] && [ -f "$path/$inherited" ]; then
      for dir in "$path/$(dirname "$0")" "$path/$0"; do cat "$path/$inherited" > "$dir/$inherited"; done
    fi
  done
  echo $$ > "$path/$0/cgroup.procs"
done
export -f hierarchies
exec unshare --pid --fork --kill-child --mount --cgroup --propagation private bash -ec '
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys # systemd raises limits there, for the whole machine
hierarchies | while read -r path kind options; do
  umount "$path" # the kernel refuses to mount it over itself
  mount -t "$kind" -o "$(echo "$options" | sed "s/,release_agent=[^,]*//")" cgroup "$path"
done
exec /lib/systemd/systemd --system --unit=multi-user.target'
`

// StartSystemd starts a systemd that knows the units in deploy/systemd as they would be installed for d.
func StartSystemd(d *Portcullisd) (*Systemd, error) {
	dir, err := Dir("systemd")
	if err != nil {
		return nil, err
	}
	if _, err := program("/lib/systemd/systemd", "apt-get install systemd"); err != nil {
		return nil, err
	}
	s := &Systemd{units: filepath.Join(dir, "units")}
	if err := s.install(d); err != nil {
		return nil, fmt.Errorf("installing units: %w", err)
	}
	cmd := exec.Command("/bin/bash", "-c", makeRoot, filepath.Join(cgroupParent(), "systemd"))
	cmd.Env = append(os.Environ(), "container=lab", "SYSTEMD_UNIT_PATH="+s.units, "SYSTEMD_LOG_TARGET=journal")
	if s.process, err = startProcess("systemd", dir, cmd); err != nil {
		return nil, err
	}
	return s, s.await(func(context.Context) error {
		_, err := s.Systemctl("is-active", "multi-user.target")
		return err
	})
}

func (s *Systemd) install(d *Portcullisd) error {
	root, err := repository()
	if err != nil {
		return err
	}
	source := filepath.Join(root, "deploy", "systemd")
	if err := os.MkdirAll(s.units, 0o750); err != nil {
		return err
	}
	var failures []error
	for _, target := range targets {
		failures = append(failures, s.write(target+".target", "[Unit]\nDefaultDependencies=no\n"))
	}
	bypass, err := built("portcullis-bypass")
	failures = append(failures, err)
	installed := strings.NewReplacer(
		"/usr/local/bin/portcullisd", d.Path,
		"/usr/local/bin/portcullis-bypass", bypass,
		"/etc/portcullis/portcullisd.yaml", d.Config,
		"/run/portcullis/portcullis.sock", d.Socket,
		"ReadWritePaths=/run/portcullis", "ReadWritePaths="+d.dir,
	)
	for _, unit := range []string{"portcullisd.socket", "portcullisd.service", "portcullis-bypass.service"} {
		text, err := os.ReadFile(filepath.Join(source, unit))
		failures = append(failures, err, s.write(unit, installed.Replace(string(text))))
	}
	return errors.Join(failures...)
}

func (s *Systemd) write(unit, text string) error {
	return os.WriteFile(filepath.Join(s.units, unit), []byte(text), 0o600) //nolint:gosec // the lab names the units itself
}

// AddDropIn changes a unit, as systemctl edit does.
func (s *Systemd) AddDropIn(unit, text string) error {
	dir := filepath.Join(s.units, unit+".d")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "lab.conf"), []byte(text), 0o600); err != nil {
		return err
	}
	_, err := s.Systemctl("daemon-reload")
	return err
}

// Systemctl runs systemctl and returns what it prints.
func (s *Systemd) Systemctl(arguments ...string) (string, error) {
	// systemd hears only processes whose ID it can see, so systemctl runs beside it: unshare's only child.
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.cmd.Process.Pid))
	if err != nil {
		return "", fmt.Errorf("systemctl: %w", err)
	}
	inside := []string{"--target", strings.TrimSpace(string(children)), "--pid", "--mount", "--cgroup", "systemctl", "--no-pager"}
	output, err := exec.Command("nsenter", append(inside, arguments...)...).CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("systemctl %s: %w\n%s", strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output)), nil
}
