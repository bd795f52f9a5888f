package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkCgroups fails where no container could start: in a container on a cgroup v2 host, the cgroup that
// is the root there holds processes, and the kernel then allows no limits in those below it.
func checkCgroups() error {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.type")); err != nil {
		return nil // cgroup v1, or the machine's real root, which is exempt
	}
	processes, err := os.ReadFile(filepath.Join(root, "cgroup.procs"))
	if err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	if len(bytes.TrimSpace(processes)) > 0 {
		return errors.New("cgroups: this is a container with a cgroup namespace, in whose root cgroup no container can be started; " +
			"start it with --cgroupns=host, or move its processes to a child cgroup first")
	}
	return nil
}

// cgroupsOf finds the lab's cgroup in each hierarchy: one on a v2 host, a dozen on a v1 host.
func cgroupsOf(lab string) ([]string, error) {
	hierarchies, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, hierarchy := range hierarchies {
		folder := filepath.Join(hierarchy, lab)
		if _, err := os.Lstat(folder); err == nil {
			found = append(found, "cgroup "+folder)
		}
	}
	return found, nil
}

func cgroupMounts() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cgroup mounts: %w", err)
	}
	var mounts []string
	for line := range strings.Lines(string(text)) {
		// "36 35 98:0 /root /mount/point options optional… - type source options"
		before, after, _ := strings.Cut(line, " - ")
		if strings.HasPrefix(after, "cgroup ") || strings.HasPrefix(after, "cgroup2 ") {
			mounts = append(mounts, strings.Fields(before)[4])
		}
	}
	return mounts, nil
}

// removeCgroups removes the lab's cgroups, innermost first. The kernel refuses while a process is
// left in one of them.
func removeCgroups(lab string) error {
	hierarchies, err := cgroupMounts()
	if err != nil {
		return err
	}
	var failed error
	for _, hierarchy := range hierarchies {
		failed = errors.Join(failed, removeCgroup(filepath.Join(hierarchy, lab)))
	}
	return failed
}

func removeCgroup(folder string) error {
	children, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for _, child := range children {
		if child.IsDir() {
			if err := removeCgroup(filepath.Join(folder, child.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(folder); err != nil {
		return fmt.Errorf("cgroup %s: %w", folder, err)
	}
	return nil
}
