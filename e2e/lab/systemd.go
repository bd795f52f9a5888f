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

// Systemd is a real systemd, PID 1 of a namespace of its own, with no units but those it was given. It
// shares the lab's /run and network. There can be one at a time.
type Systemd struct {
	dir   string
	units string // folder
	*process
}

// targets are the ones that units and systemd itself take for granted. Here they are empty.
var targets = []string{"sysinit", "basic", "sockets", "multi-user", "shutdown", "umount"}

// makeRoot moves the shell into a cgroup of its own in each hierarchy ($0), makes the namespaces, furnishes them
// as systemd expects them, lays files and folders over others (from:over, the rest of the arguments), and
// becomes systemd.
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
for pair; do mount --bind "${pair%%:*}" "${pair#*:}"; done
exec /lib/systemd/systemd --system --unit=multi-user.target' bash "$@"
`

// StartSystemd starts a systemd that knows the units in deploy/systemd as they would be installed for d.
func StartSystemd(d *Portcullisd) (*Systemd, error) {
	s, err := newSystemd()
	if err != nil {
		return nil, err
	}
	if err := s.install(d); err != nil {
		return nil, fmt.Errorf("installing units: %w", err)
	}
	return s, s.start("SYSTEMD_UNIT_PATH=" + s.units)
}

// ownUnits is where an administrator's units stand.
const ownUnits = "/etc/systemd/system"

// StartSystemdForKubelet starts one that runs the kubelet, as kubelet.service. Of Portcullis there are only
// the programs, in /usr/local/bin.
func StartSystemdForKubelet(k *Kubelet, runtimeSocket string) (*Systemd, error) {
	s, err := newSystemd()
	if err != nil {
		return nil, err
	}
	if err := k.configure(runtimeSocket); err != nil {
		return nil, err
	}
	unit := "[Service]\nExecStart=" + strings.Join(append([]string{k.path}, k.arguments()...), " ") + "\nRestart=always\nRestartSec=1s\nKillMode=process\n"
	if err := s.write("kubelet.service", unit); err != nil {
		return nil, fmt.Errorf("installing units: %w", err)
	}
	over := []string{s.units + ":" + ownUnits}
	var programs string
	for _, name := range []string{"portcullisd", "portcullis-bypass", "portcullis"} {
		path, err := built(name)
		if err != nil {
			return nil, err
		}
		programs = filepath.Dir(path)
	}
	over = append(over, programs+":/usr/local/bin")
	for setting := range kernelSettings { // the namespace has a /proc of its own
		over = append(over, kernelFile(setting)+":"+filepath.Join("/proc/sys", setting))
	}
	if err := s.start("SYSTEMD_UNIT_PATH="+ownUnits, over...); err != nil {
		return nil, err
	}
	_, err = s.Systemctl("start", "kubelet.service")
	return s, err
}

func newSystemd() (*Systemd, error) {
	dir, err := Dir("systemd")
	if err != nil {
		return nil, err
	}
	if _, err := program("/lib/systemd/systemd", "apt-get install systemd"); err != nil {
		return nil, err
	}
	s := &Systemd{dir: dir, units: filepath.Join(dir, "units")}
	if err := os.MkdirAll(s.units, 0o750); err != nil {
		return nil, fmt.Errorf("installing units: %w", err)
	}
	for _, target := range targets {
		if err := s.write(target+".target", "[Unit]\nDefaultDependencies=no\n"); err != nil {
			return nil, fmt.Errorf("installing units: %w", err)
		}
	}
	return s, nil
}

func (s *Systemd) start(environment string, over ...string) (err error) {
	cmd := exec.Command("/bin/bash", append([]string{"-c", makeRoot, filepath.Join(cgroupParent(), "systemd")}, over...)...)
	cmd.Env = append(os.Environ(), "container=lab", "SYSTEMD_LOG_TARGET=journal", environment)
	if s.process, err = startProcess("systemd", s.dir, cmd); err != nil {
		return err
	}
	return s.await(func(context.Context) error {
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
	bypass, err := built("portcullis-bypass")
	failures := []error{err}
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

// Units is the folder of the administrator's units.
func (s *Systemd) Units() string { return s.units }

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
	return s.Run("systemctl", append([]string{"--no-pager"}, arguments...)...)
}

// Run runs a program on the machine that systemd runs, and returns what it prints.
func (s *Systemd) Run(program string, arguments ...string) (string, error) {
	// systemd hears only processes whose ID it can see, so they run beside it: unshare's only child.
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.cmd.Process.Pid))
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	inside := []string{"--target", strings.TrimSpace(string(children)), "--pid", "--mount", "--cgroup", program}
	output, err := exec.Command("nsenter", append(inside, arguments...)...).CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("%s %s: %w\n%s", program, strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output)), nil
}
