// Package doctor answers: is everything on this node as Portcullis needs it, and what is to be done?
//
// Gather looks at the machine, Examine judges what was seen, and asks nobody: so every judgement has a
// test that needs no machine.
package doctor

import (
	"errors"
	"fmt"
	"time"

	"portcullis/internal/daemonclient"
	"portcullis/internal/nodeinstall"
	"portcullis/internal/unixpeers"
)

// Level says how bad it is.
type Level string

// Levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // works, but not as it should
	Fail Level = "fail" // Portcullis does not do its work, or others can undo it
)

// Check is one thing that was looked at.
type Check struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"` // what to do about it
}

// Facts are what was seen.
type Facts struct {
	Now     time.Time
	Version string // of this program

	Install        *nodeinstall.State // nil when there was none
	InstallProblem error

	ConfigPath    string
	ConfigProblem string // "" when it is valid; then all below is known

	Daemon        *daemonclient.Daemon
	DaemonProblem string // why it is nil; "" too where no metrics are served

	Kubelet        *nodeinstall.Kubelet
	KubeletProblem error  // why it is nil
	KubeletSick    string // what its /healthz says, "" for well
	KubeletVersion string // "" when it is not known

	Listen, Runtime Socket
	LockHolder      int // pid of who holds the lock of the listening socket, 0 for none

	Folders  []Folder
	Policies Policies
	Reports  *Reports // nil where verdicts do not come from folders

	ClockUnsynchronised bool
	JournalProblem      string
}

// Socket is a unix socket and who uses it.
type Socket struct {
	Path           string
	Problem        string // why nothing is known of it, such as that it is not there
	Mode           uint32
	UID, GID       uint32
	FolderMode     uint32
	FolderUID      uint32
	Runtime        nodeinstall.Runtime // what answers there
	Silent         string              // why nothing answers
	Clients        []unixpeers.Process
	Servers        []unixpeers.Process
	ClientsProblem string
}

// Folder holds what rules the node.
type Folder struct {
	Path string
	What string
	Mode uint32
	UID  uint32
}

// Policies are the policy files on disk.
type Policies struct {
	Path     string
	Problem  string
	Revision string
	Count    int
	Newest   time.Time // zero where there is no file
}

// Reports are the report files on disk.
type Reports struct {
	Folders []string
	Count   int
	Newest  time.Time
}

// Examine judges what was seen, the most basic first.
func Examine(f *Facts) []Check {
	var checks []Check
	for _, judge := range []func(*Facts) []Check{
		install, configuration, daemon, lock, kubelet, kubeletPath, versions,
		listenSocket, runtimeSocket, others, folders, policies, reports, events, clock, journal,
	} {
		checks = append(checks, judge(f)...)
	}
	return checks
}

// Worst is the level of a list of checks.
func Worst(checks []Check) Level {
	worst := OK
	for _, c := range checks {
		if c.Level == Fail || c.Level == Warn && worst == OK {
			worst = c.Level
		}
	}
	return worst
}

func one(name string, level Level, do, format string, arguments ...any) []Check {
	return []Check{{Name: name, Level: level, Do: do, Says: fmt.Sprintf(format, arguments...)}}
}

// wrong tells an error; one that says what to do itself is told in two parts.
func wrong(name string, err error) []Check {
	var refusal *nodeinstall.Refusal
	if errors.As(err, &refusal) {
		return one(name, Fail, refusal.Do, "%s", refusal.Why)
	}
	return one(name, Fail, "", "%v", err)
}

func ok(name, format string, arguments ...any) []Check {
	return one(name, OK, "", format, arguments...)
}

// age says how long ago something was, as people do.
func age(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < 0:
		return "in the future"
	case d < time.Minute:
		return "less than a minute ago"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}
