package nodeinstall

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// statePath holds what install has done, and what it is about to do.
const statePath = "/var/lib/portcullis/install.json"

// Phase says how far install has come. It is on disk before what it stands for begins.
type Phase string

// Phases, in the order in which they follow each other.
const (
	Preparing Phase = "preparing" // own files are written and started; the kubelet knows nothing of it
	Switching Phase = "switching" // files of the kubelet are changed, it is restarted
	Installed Phase = "installed"
	Removing  Phase = "removing"
)

// State is what install has done on this node.
type State struct {
	Format  int       `json:"format"`
	Phase   Phase     `json:"phase"`
	At      time.Time `json:"at"` // of the phase
	Version string    `json:"version"`
	Unit    string    `json:"unit"`    // the kubelet's
	Listen  string    `json:"listen"`  // the socket of portcullisd
	Runtime string    `json:"runtime"` // and that of the runtime
	// Switched says that the kubelet may have been started on the changed files, so that taking them
	// back takes a restart.
	Switched bool     `json:"switched"`
	Started  []string `json:"started,omitempty"` // units that install started
	Folders  []string `json:"folders,omitempty"` // that install made, the outer first
	Files    []*File  `json:"files"`
}

// File is one file that install changed or made.
type File struct {
	Path    string `json:"path"`
	Kubelet bool   `json:"kubelet"` // a file of the kubelet's
	// Before is the digest of what stood there, "" where nothing did.
	Before string `json:"before,omitempty"`
	After  string `json:"after"`
	Backup string `json:"backup,omitempty"` // the file itself, moved aside
	Edit   *Edit  `json:"edit,omitempty"`
}

// Edit is a change of the endpoint, told so that it can be undone in a file that others changed since.
type Edit struct {
	Flag bool `json:"flag"` // in a command line; else in the kubelet's configuration
	// Was is the endpoint before; "" where none was set.
	Was string `json:"was,omitempty"`
	Now string `json:"now"`
}

// ReadState returns nil when install has done nothing here.
func ReadState(root string) (*State, error) {
	data, err := files{root: root}.readIfThere(statePath)
	if err != nil || data == nil {
		return nil, err
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil || s.Format != 1 {
		return nil, refuse(fmt.Sprintf("%s is not readable as what install writes there", statePath),
			"take the kubelet back by hand: set its endpoint to the runtime's socket (files called *"+backupSuffix+" hold what was before), restart it, and move that file away")
	}
	return &s, nil
}

func (s *State) file(path string) *File {
	for _, f := range s.Files {
		if f.Path == path {
			return f
		}
	}
	return nil
}

// write puts the state on disk for good before what it announces begins.
func (m *Machine) write(s *State, phase Phase) error {
	s.Format, s.Phase, s.At, s.Version = 1, phase, m.Now().UTC().Truncate(time.Second), m.Version
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := m.full(statePath)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'), 0o600, nil)
}

func (m *Machine) forget() error {
	if err := os.Remove(m.full(statePath)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(filepath.Dir(m.full(statePath)))
}

// lock keeps two runs apart; it is given up when the process ends, however it does.
func (m *Machine) lock() (unlock func(), err error) {
	path := m.full("/var/lib/portcullis/install.lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, refuse("another portcullis node install or uninstall runs on this node", "wait until it has ended")
	}
	return func() { file.Close() }, nil // the file stays: a lock on one that is removed keeps nobody out
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
