package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// programs is where Debian's postgresql package has what is not for everyone's PATH.
const programs = "/usr/lib/postgresql/15/bin"

// Cluster is a PostgreSQL server of its own, which listens on a unix socket in its folder only.
type Cluster struct {
	folder string
	owner  *syscall.Credential // PostgreSQL refuses to be root
	fsync  string              // on or off
}

// shared is the cluster of this test binary, and databases numbers what is in it.
var (
	shared    = sync.OnceValues(startShared)
	running   atomic.Pointer[Cluster]
	databases atomic.Int64
)

// Main runs the tests of a package, and stops the cluster that they used. A package whose tests call
// Run or Postgres has func TestMain(m *testing.M) { storetest.Main(m) }.
func Main(m *testing.M) {
	status := m.Run()
	if cluster := running.Load(); cluster != nil {
		if err := cluster.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// Postgres names a new, empty database in the cluster that the tests of this package share.
func Postgres(t testing.TB) (url string) {
	t.Helper()
	cluster, err := shared()
	require.NoError(t, err, "a real PostgreSQL 15 is needed: apt-get install postgresql")
	return cluster.Database(t)
}

func startShared() (*Cluster, error) {
	cluster, err := newCluster("off")
	if err != nil {
		return nil, err
	}
	running.Store(cluster)
	return cluster, cluster.start()
}

// DurablePostgres names an empty database in a cluster of its own that waits for the disk, as one does that
// is not for tests.
func DurablePostgres(t testing.TB) (url string) {
	t.Helper()
	return startCluster(t, "on").Database(t)
}

// StartCluster starts a cluster for one test, which may stop it and start it again.
func StartCluster(t *testing.T) *Cluster {
	t.Helper()
	return startCluster(t, "off")
}

func startCluster(t testing.TB, fsync string) *Cluster {
	t.Helper()
	cluster, err := newCluster(fsync)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.remove()) })
	require.NoError(t, cluster.start())
	return cluster
}

func newCluster(fsync string) (*Cluster, error) {
	folder, err := os.MkdirTemp("", "pg") // short: a unix socket's path is at most 107 bytes
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: folder, fsync: fsync}
	if os.Geteuid() == 0 {
		if c.owner, err = postgresUser(); err != nil {
			return nil, err
		}
		if err := os.Chown(folder, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return nil, err
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

func (c *Cluster) start() error {
	settings := "-c listen_addresses= -c fsync=" + c.fsync + " -c max_connections=200 -c unix_socket_directories=" + c.folder
	return c.run("pg_ctl", "start", "--wait", "--silent", "--pgdata", c.data(), "--log", filepath.Join(c.folder, "log"), "--options", settings)
}

func (c *Cluster) stop(mode string) error {
	return c.run("pg_ctl", "stop", "--wait", "--silent", "--pgdata", c.data(), "--mode", mode)
}

// Stop stops the server at once, as a crash would.
func (c *Cluster) Stop(t *testing.T) {
	t.Helper()
	require.NoError(t, c.stop("immediate"))
}

// Start starts the server again after Stop.
func (c *Cluster) Start(t *testing.T) {
	t.Helper()
	require.NoError(t, c.start())
}

func (c *Cluster) remove() error {
	_ = c.stop("immediate") // a test may have stopped it
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
func (c *Cluster) Database(t testing.TB) (address string) {
	t.Helper()
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, c.url("postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close(ctx)) }()
	name := fmt.Sprintf("test%d", databases.Add(1))
	_, err = connection.Exec(ctx, "CREATE DATABASE "+name)
	require.NoError(t, err)
	return c.url(name)
}

func (c *Cluster) url(database string) string {
	return "postgres://postgres@/" + database + "?" + url.Values{"host": {c.folder}}.Encode()
}
