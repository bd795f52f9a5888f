package nodeinstall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"portcullis/internal/unixpeers"
)

// RolledBack is the error of an install that was taken back: the node is as it was.
type RolledBack struct {
	Why       error
	Restarted bool // the kubelet was
}

func (r *RolledBack) Error() string {
	if r.Restarted {
		return fmt.Sprintf("%v\nEverything was taken back: the kubelet uses its runtime directly again, and is healthy.", r.Why)
	}
	return fmt.Sprintf("%v\nEverything was taken back; the kubelet was not touched.", r.Why)
}

// Install does what the plan says. When anything fails, the context ends included, it takes all of it
// back and returns *RolledBack; an error of another kind says what could not be taken back.
func (m *Machine) Install(ctx context.Context, p *Plan) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := ReadState(m.Root); err != nil || !reflect.DeepEqual(now, p.state) {
		return refuse("another run of install or uninstall was faster", "start again; nothing was changed")
	}
	s := m.begin(p)
	if err := m.write(s, Preparing); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if err := m.carryOut(ctx, p, s); err != nil {
		return m.rollBack(ctx, s, err)
	}
	return m.write(s, Installed)
}

func (m *Machine) carryOut(ctx context.Context, p *Plan, s *State) error {
	if err := m.startDaemon(ctx, p, s); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.kubelet }) {
		return nil
	}
	s.Switched = true
	if err := m.write(s, Switching); err != nil {
		return err
	}
	if err := m.applyAll(p, s, true); err != nil {
		return err
	}
	return m.restartKubelet(ctx, p.Kubelet, s.Listen)
}

// begin writes down what is about to be changed, together with what an earlier install changed.
func (m *Machine) begin(p *Plan) *State {
	s := &State{Unit: p.Kubelet.Unit, Listen: p.Listen, Runtime: p.Socket}
	if p.state != nil {
		s.Switched, s.Started, s.Folders, s.Files = p.state.Switched, p.state.Started, p.state.Folders, p.state.Files
	}
	for _, c := range p.Changes {
		f := s.file(c.Path)
		switch {
		case f == nil:
			f = &File{Path: c.Path}
			s.Files = append(s.Files, f)
		case f.Before == "": // we made it; it is to go in the end, whatever it holds now
			f.After, f.Edit = digest(c.After), c.edit
			continue
		}
		*f = File{Path: c.Path, Kubelet: c.kubelet, After: digest(c.After), Edit: c.edit}
		if c.Before != nil {
			f.Before, f.Backup = digest(c.Before), c.Path+backupSuffix
		}
	}
	for _, folder := range m.missingFolders(p) {
		if !slices.Contains(s.Folders, folder) {
			s.Folders = append(s.Folders, folder)
		}
	}
	return s
}

// missingFolders are those that install is going to make, the outer first.
func (m *Machine) missingFolders(p *Plan) []string {
	folders := []string{policiesFolder}
	for _, c := range p.Changes {
		folders = append(folders, filepath.Dir(c.Path))
	}
	var missing []string
	for _, folder := range folders {
		for ; folder != "/"; folder = filepath.Dir(folder) {
			if _, err := os.Stat(m.full(folder)); !errors.Is(err, fs.ErrNotExist) {
				break
			}
			missing = append(missing, folder)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// startDaemon brings portcullisd to where it answers in the runtime's name.
func (m *Machine) startDaemon(ctx context.Context, p *Plan, s *State) error {
	// The folder of who may write policies, so of who rules what starts, is its owner's alone.
	if err := os.MkdirAll(m.full(policiesFolder), 0o700); err != nil {
		return err
	}
	if err := m.applyAll(p, s, false); err != nil {
		return err
	}
	if m.Services.Managed() {
		m.Say("starting portcullisd")
		if err := m.startUnits(ctx, s); err != nil {
			return fmt.Errorf("portcullisd did not start: %w\nSee journalctl -u %s", err, serviceUnit)
		}
	}
	return m.awaitDaemon(ctx, p)
}

func (m *Machine) startUnits(ctx context.Context, s *State) error {
	if err := m.Services.Reload(ctx); err != nil {
		return err
	}
	for _, unit := range []string{socketUnit, serviceUnit} {
		if !m.Services.Active(ctx, unit) && !slices.Contains(s.Started, unit) {
			s.Started = append(s.Started, unit)
		}
	}
	if err := m.write(s, Preparing); err != nil {
		return err
	}
	return m.Services.Start(ctx, socketUnit, serviceUnit)
}

func (m *Machine) applyAll(p *Plan, s *State, kubelet bool) error {
	for _, c := range p.Changes {
		if c.kubelet != kubelet {
			continue
		}
		if err := m.apply(c, s.file(c.Path)); err != nil {
			return err
		}
		m.Say("wrote %s", c.Path)
	}
	return nil
}

// awaitDaemon waits until the runtime answers through portcullisd: before that the kubelet must not be
// sent there.
func (m *Machine) awaitDaemon(ctx context.Context, p *Plan) error {
	err := m.await(ctx, m.Timing.Daemon, 0, func(ctx context.Context) error {
		seen, err := m.Probe.Runtime(ctx, m.full(p.Listen))
		if err == nil && seen != p.Runtime {
			err = fmt.Errorf("%s answers there, the kubelet's runtime is %s", seen, p.Runtime)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("portcullisd does not answer at %s after %s: %w\nSee %s", p.Listen, m.Timing.Daemon, err, m.logOfDaemon())
	}
	m.Say("portcullisd answers at %s for %s", p.Listen, p.Runtime)
	return nil
}

func (m *Machine) logOfDaemon() string {
	if m.Services.Managed() {
		return "journalctl -u " + serviceUnit
	}
	return "its log; without systemd it must be running before install"
}

// restartKubelet restarts it and waits until it is healthy and uses socket.
func (m *Machine) restartKubelet(ctx context.Context, k *Kubelet, socket string) error {
	m.Say("restarting the kubelet; running containers go on")
	if m.Services.Managed() {
		if err := m.Services.Reload(ctx); err != nil {
			return err
		}
	}
	before := m.pid()
	if err := m.Services.Restart(ctx, k.Unit); err != nil {
		return fmt.Errorf("the kubelet did not start again: %w", err)
	}
	pid, starts := 0, 0
	var unseen error
	err := m.await(ctx, m.Timing.Kubelet, m.Timing.Settle, func(ctx context.Context) error {
		now := m.pid()
		if now == 0 || now == before {
			return errors.New("it does not run again yet")
		}
		if now != pid {
			pid = now
			starts++
			return errors.New("it has just started") // it has to stay for a while
		}
		if k.Healthz != "" {
			if err := m.Probe.Kubelet(ctx, k.Healthz); err != nil {
				return err
			}
		}
		var connected bool
		if connected, unseen = m.connected(now, socket); !connected && unseen == nil {
			return fmt.Errorf("it is not connected to %s", socket)
		}
		return nil
	})
	if err != nil && starts > 2 {
		err = fmt.Errorf("it started %d times: %w", starts, err)
	}
	if err != nil {
		return fmt.Errorf("the kubelet was not healthy with %s within %s: %w\nSee journalctl -u %s", socket, m.Timing.Kubelet, err, k.Unit)
	}
	if unseen != nil {
		m.Say("the kubelet is healthy; whether it is connected to %s is not to be seen: %v", socket, unseen)
		return nil
	}
	m.Say("the kubelet is healthy, and connected to %s", socket)
	return nil
}

// pid is the kubelet's, 0 while it does not run.
func (m *Machine) pid() int {
	p, err := findProcess(files{root: m.Root})
	if err != nil {
		return 0
	}
	return p.pid
}

// connected says whether a process is connected to a socket; an error says that nobody can tell.
func (m *Machine) connected(pid int, socket string) (bool, error) {
	clients, err := m.Probe.Clients(m.full(socket))
	return slices.ContainsFunc(clients, func(p unixpeers.Process) bool { return p.PID == pid }), err
}

// await calls ready until it has succeeded for as long as settle.
func (m *Machine) await(ctx context.Context, patience, settle time.Duration, ready func(context.Context) error) error {
	deadline, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(m.Timing.Poll)
	defer tick.Stop()
	var since time.Time
	var last error // that does not come of our own impatience
	for {
		err := ready(deadline)
		switch {
		case err != nil:
			if since = (time.Time{}); deadline.Err() == nil {
				last = err
			}
		case since.IsZero():
			since = time.Now()
		}
		if err == nil && time.Since(since) >= settle {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return last
		}
	}
}

// rollBack takes everything back after why.
func (m *Machine) rollBack(ctx context.Context, s *State, why error) error {
	m.Say("failed: %s\ntaking everything back", strings.SplitN(why.Error(), "\n", 2)[0])
	restarted := s.Switched
	if err := m.undo(context.WithoutCancel(ctx), s); err != nil {
		return fmt.Errorf("%w\nAnd it could not be taken back: %w\nCall portcullis node uninstall when that is mended", why, err)
	}
	return &RolledBack{why, restarted}
}
