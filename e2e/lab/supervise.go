package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Supervise does for the kubelet what systemd does on a machine: whenever it ends, it is started again on
// its configuration as that is then. restart is a command line that restarts it; release ends the
// supervision, not the kubelet.
func (k *Kubelet) Supervise() (restart string, release func(), err error) {
	pidFile := filepath.Join(k.dir, "kubelet.pid")
	note := func() error { return os.WriteFile(pidFile, []byte(strconv.Itoa(k.cmd.Process.Pid)), 0o600) }
	if err := note(); err != nil {
		return "", nil, fmt.Errorf("supervising the kubelet: %w", err)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-k.ended:
			}
			if err := k.launch(); err == nil {
				_ = note() // a restart that misses it fails its test
			}
			select {
			case <-over:
				return
			case <-time.After(200 * time.Millisecond): // as RestartSec
			}
		}
	}()
	release = func() { close(over); <-ended }
	return fmt.Sprintf("kill $(cat %s) || true", pidFile), release, nil
}

// Serves waits until a kubelet that was started again answers for its pods.
func (k *Kubelet) Serves() error { return k.serves() }
