// Package postgrestest answers: how do tests get a PostgreSQL server that they may stop and kill?
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// programs is where Debian's postgresql package has what is not for everyone's PATH.
const programs = "/usr/lib/postgresql/15/bin"

// Cluster is a PostgreSQL server of its own, which listens on a unix socket in its folder only.
type Cluster struct {
	// Durable makes the server, when it starts, wait for the disk as one does that is not for tests.
	Durable bool

	folder    string
	owner     *syscall.Credential // PostgreSQL refuses to be root
	databases atomic.Int64
}

// New makes a cluster in a new folder in parent, where an empty one is the folder for temporary files. It does
// not run yet. Remove removes it, also after an error.
func New(parent string) (*Cluster, error) {
	folder, err := os.MkdirTemp(parent, "pg") // short: a unix socket's path is at most 107 bytes
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: folder}
	if os.Geteuid() == 0 {
		if c.owner, err = postgresUser(); err != nil {
			return c, err
		}
		if err := os.Chown(folder, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return c, err
		}
	}
	return c, c.run("initdb", "--pgdata", c.data(), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
}

// postgresUser is whom Debian's package made to run PostgreSQL.
func postgresUser() (*syscall.Credential, error) {
	found, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

// Start starts the server, which may have run before, and waits until it answers.
func (c *Cluster) Start() error {
	settings := "-c listen_addresses= -c max_connections=200 -c unix_socket_directories=" + c.folder
	if !c.Durable {
		settings += " -c fsync=off"
	}
	return c.run("pg_ctl", "start", "--wait", "--silent", "--pgdata", c.data(), "--log", filepath.Join(c.folder, "log"), "--options", settings)
}

// Stop stops the server at once, as when its machine goes down in a hurry.
func (c *Cluster) Stop() error {
	return c.run("pg_ctl", "stop", "--wait", "--silent", "--pgdata", c.data(), "--mode", "immediate")
}

// Kill ends all processes of the server as the kernel would, without a chance to clean up.
func (c *Cluster) Kill() error {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	server, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	// The server first: it would begin others in place of those that are killed.
	processes := append([]int{server}, children(server)...)
	for _, pid := range processes {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("killing PostgreSQL: %w", err)
		}
	}
	return gone(processes)
}

// children lists the processes that a process has begun.
func children(of int) (all []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// After the name, which stands in brackets and may hold anything: the state and the parent.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(of) {
			all = append(all, pid)
		}
	}
	return all
}

// gone waits until processes that were killed have ended: a server does not start while one of them holds its memory.
func gone(processes []int) error {
	again, enough := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer again.Stop()
	for _, pid := range processes {
		for syscall.Kill(pid, 0) == nil {
			select {
			case <-again.C:
			case <-enough:
				return fmt.Errorf("killing PostgreSQL: process %d is still there", pid)
			}
		}
	}
	return nil
}

// Remove stops the server, if it runs, and removes all that belongs to it.
func (c *Cluster) Remove() error {
	_ = c.Stop() // it may be stopped
	return os.RemoveAll(c.folder)
}

func (c *Cluster) run(program string, arguments ...string) error {
	command := exec.Command(filepath.Join(programs, program), arguments...)
	command.Dir = c.folder
	if c.owner != nil {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	}
	// A file, because the server keeps what it inherits open, and a pipe would never end.
	out, err := os.CreateTemp("", "pg-out")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer out.Close()
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		printed, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", program, err, printed)
	}
	return nil
}

// Database makes an empty database and names it.
func (c *Cluster) Database(ctx context.Context) (address string, err error) {
	connection, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	_, err = connection.Exec(ctx, "CREATE DATABASE "+name)
	return c.url(name), errors.Join(err, connection.Close(ctx))
}

func (c *Cluster) url(database string) string {
	return "postgres://postgres@/" + database + "?" + url.Values{"host": {c.folder}}.Encode()
}
