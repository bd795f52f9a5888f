package nodeinstall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Uninstall takes back what install did, also one that was cut short. It returns false where there is
// nothing to take back.
func (m *Machine) Uninstall(ctx context.Context) (bool, error) {
	unlock, err := m.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	s, err := ReadState(m.Root)
	if err != nil || s == nil {
		return false, err
	}
	return true, m.undo(ctx, s)
}

// undo goes backwards through what was done: the kubelet leaves portcullisd before that ends.
func (m *Machine) undo(ctx context.Context, s *State) error {
	if err := m.write(s, Removing); err != nil {
		return err
	}
	if err := m.restoreAll(s, true); err != nil {
		return err
	}
	if s.Switched {
		if err := m.kubeletBack(ctx, s); err != nil {
			return err
		}
		s.Switched = false
		if err := m.write(s, Removing); err != nil {
			return err
		}
	}
	if len(s.Started) > 0 {
		m.Say("stopping portcullisd")
		if err := m.Services.Stop(ctx, stopped(s.Started)...); err != nil {
			return err
		}
	}
	if err := m.restoreAll(s, false); err != nil {
		return err
	}
	if m.Services.Managed() {
		if err := m.Services.Reload(ctx); err != nil {
			return err
		}
	}
	m.removeFolders(s)
	return m.forget()
}

// stopped are the units to stop, the service before its socket, which would start it again.
func stopped(started []string) []string {
	units := slices.Clone(started)
	slices.Reverse(units)
	return append([]string{bypassUnit}, units...)
}

// kubeletBack starts the kubelet on its own files and waits until it is well on the runtime's socket.
func (m *Machine) kubeletBack(ctx context.Context, s *State) error {
	k, err := search{unit: s.Unit, systemd: m.Services.Managed(), stale: true}.kubelet(files{root: m.Root})
	if err != nil {
		// It may just not run; its unit says what starts it.
		k = &Kubelet{Unit: s.Unit, Endpoint: endpointOf(s.Runtime), Healthz: "127.0.0.1:" + defaultHealthz}
	}
	if SameSocket(k.Socket(), s.Listen) {
		return fmt.Errorf("the kubelet's endpoint is still %s (%s): it was not restarted, and portcullisd goes on\nSet it to %s by hand, restart the kubelet, and call uninstall again", s.Listen, k.From, endpointOf(s.Runtime))
	}
	if _, err := m.Probe.Runtime(ctx, m.full(k.Socket())); err != nil {
		m.Say("the runtime does not answer at %s: the kubelet will not start before it does", k.Socket())
	}
	return m.restartKubelet(ctx, k, k.Socket())
}

func (m *Machine) restoreAll(s *State, kubelet bool) error {
	var failures []error
	for _, f := range slices.Backward(s.Files) {
		if f.Kubelet != kubelet {
			continue
		}
		if err := m.restore(f); err != nil {
			failures = append(failures, err)
			continue
		}
		m.Say("%s is as it was", f.Path)
	}
	return errors.Join(failures...)
}

// removeFolders removes those that install made and that are empty; others hold what is not ours.
func (m *Machine) removeFolders(s *State) {
	for _, folder := range slices.Backward(s.Folders) {
		if os.Remove(m.full(folder)) != nil {
			continue
		}
		_ = syncFolder(filepath.Dir(m.full(folder))) // an empty folder that comes back does no harm
	}
}
