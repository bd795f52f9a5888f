package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portcullis/internal/daemonclient"
	"portcullis/internal/node"
	"portcullis/internal/nodeinstall"
	"portcullis/internal/policyfile"
	"portcullis/internal/unixpeers"
	"portcullis/policy"
)

// Options say where to look.
type Options struct {
	Config      string
	KubeletUnit string
	Systemd     bool
	Version     string
	Now         time.Time
}

// Gather looks at this machine. It changes nothing.
func Gather(ctx context.Context, options Options) *Facts {
	f := &Facts{Now: options.Now, Version: options.Version, ConfigPath: options.Config}
	f.Install, f.InstallProblem = nodeinstall.ReadState("/")
	f.kubelet(ctx, options)
	f.ClockUnsynchronised = clockUnsynchronised()
	f.JournalProblem = journalProblem()
	config, err := node.ReadConfig(options.Config)
	if err != nil {
		f.ConfigProblem = strings.TrimPrefix(err.Error(), "configuration: ")
		return f
	}
	f.Listen = look(ctx, config.Listen)
	f.Runtime = look(ctx, config.Runtime)
	f.daemon(ctx, config)
	f.LockHolder = lockHolder(config.Listen + ".lock")
	f.files(config)
	return f
}

func (f *Facts) kubelet(ctx context.Context, options Options) {
	f.Kubelet, f.KubeletProblem = nodeinstall.Find("/", options.KubeletUnit, options.Systemd)
	k := f.Kubelet
	if k == nil || k.PID == 0 {
		return
	}
	if k.Healthz != "" {
		if err := (nodeinstall.LiveProbe{}).Kubelet(ctx, k.Healthz); err != nil {
			f.KubeletSick = err.Error()
		}
	}
	f.KubeletVersion = kubeletVersionOf(ctx, k.Executable)
}

var versionNumber = regexp.MustCompile(`v\d+\.\d+\.\d+\S*`)

// kubeletVersionOf asks the program, but only one that nobody but root can have put there.
func kubeletVersionOf(ctx context.Context, executable string) string {
	var info unix.Stat_t
	if err := unix.Stat(executable, &info); err != nil || info.Uid != 0 || info.Mode&0o022 != 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, executable, "--version").Output()
	if err != nil {
		return ""
	}
	return versionNumber.FindString(string(output))
}

func (f *Facts) daemon(ctx context.Context, config node.Config) {
	if config.Metrics.Address == "" {
		return
	}
	var err error
	if f.Daemon, err = daemonclient.Ask(ctx, config.Metrics.Address); err != nil {
		f.DaemonProblem = err.Error()
	}
}

// look sees what a socket is, what answers there and who is connected to it.
func look(ctx context.Context, path string) Socket {
	s := Socket{Path: path}
	var info, folder unix.Stat_t
	err := unix.Stat(path, &info)
	if err == nil {
		err = unix.Stat(filepath.Dir(path), &folder)
	}
	if err != nil {
		s.Problem = fmt.Sprintf("%s: %v", path, err)
		s.Silent = s.Problem
		return s
	}
	s.Mode, s.UID, s.GID = info.Mode&0o7777, info.Uid, info.Gid
	s.FolderMode, s.FolderUID = folder.Mode&0o7777, folder.Uid
	if info.Mode&unix.S_IFMT != unix.S_IFSOCK {
		s.Problem = path + " is not a socket"
	}
	// Who serves is seen at the other end of a connection, which is ours where there is no other.
	if s.Runtime, err = (nodeinstall.LiveProbe{}).RuntimeWhile(ctx, path, s.peers); err != nil {
		s.Silent = err.Error()
	}
	return s
}

func (s *Socket) peers() {
	var err error
	if s.Clients, s.Servers, err = unixpeers.Of(s.Path); err != nil {
		s.ClientsProblem = err.Error()
	}
	s.Clients = slices.DeleteFunc(s.Clients, func(p unixpeers.Process) bool { return p.PID == os.Getpid() })
}

// files looks at what portcullisd reads.
func (f *Facts) files(config node.Config) {
	f.folder(filepath.Dir(f.ConfigPath), "configuration")
	f.folder(config.Policies, "policies")
	f.folder(config.State, "state")
	f.Policies = readPolicies(config)
	var reports []string
	for _, s := range config.Sources {
		if s.Reports != "" {
			f.folder(s.Reports, "reports")
			reports = append(reports, s.Reports)
		}
	}
	if len(reports) > 0 {
		f.Reports = &Reports{Folders: reports}
		for _, folder := range reports {
			f.Reports.count(folder)
		}
	}
}

func (f *Facts) folder(path, what string) {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return // those that use it say so
	}
	f.Folders = append(f.Folders, Folder{Path: path, What: what, Mode: info.Mode & 0o7777, UID: info.Uid})
}

func readPolicies(config node.Config) Policies {
	p := Policies{Path: config.Policies}
	sources, err := policyfile.Read(config.Policies)
	if err == nil {
		var docs *policy.Documents
		if docs, err = policy.Parse(sources...); err == nil {
			var bundle *policy.Bundle
			if bundle, err = policy.Compile(docs, policy.Options{}); err == nil {
				p.Revision, p.Count = bundle.Revision(), bundle.Len()
			}
		}
	}
	if err != nil {
		p.Problem = err.Error()
	}
	for _, s := range sources {
		if info, err := os.Stat(s.Name); err == nil && info.ModTime().After(p.Newest) {
			p.Newest = info.ModTime()
		}
	}
	return p
}

func (r *Reports) count(folder string) {
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && path != folder {
			return fs.SkipDir // reports stand in the folder itself
		}
		if info, err := entry.Info(); err == nil && filepath.Ext(path) == ".json" {
			r.Count++
			if info.ModTime().After(r.Newest) {
				r.Newest = info.ModTime()
			}
		}
		return nil
	})
}

// lockHolder returns who holds the lock on a file, 0 for nobody.
func lockHolder(path string) int {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return 0
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(locks)) {
		var number, pid int
		var kind, mode, access, where string
		if n, _ := fmt.Sscan(line, &number, &kind, &mode, &access, &pid, &where); n < 6 { // fewer for a lock that is waited for
			continue
		}
		if strings.HasSuffix(where, fmt.Sprintf(":%d", info.Ino)) && kind == "FLOCK" {
			return pid
		}
	}
	return 0
}

func clockUnsynchronised() bool {
	var state unix.Timex
	result, err := unix.Adjtimex(&state)
	return err == nil && result == unix.TIME_ERROR
}

func journalProblem() string {
	connection, err := net.DialTimeout("unixgram", "/run/systemd/journal/socket", time.Second)
	if err != nil {
		var number syscall.Errno
		if errors.As(err, &number) {
			return "/run/systemd/journal/socket: " + number.Error()
		}
		return err.Error()
	}
	connection.Close()
	return ""
}
