package storetest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"portcullis/central/store/postgrestest"
)

// Cluster is a PostgreSQL server of its own.
type Cluster struct{ server *postgrestest.Cluster }

// shared is the cluster of this test binary.
var (
	shared  = sync.OnceValues(startShared)
	running atomic.Pointer[Cluster]
)

// Main runs the tests of a package, and stops the cluster that they used. A package whose tests call
// Run or Postgres has func TestMain(m *testing.M) { storetest.Main(m) }.
func Main(m *testing.M) {
	status := m.Run()
	if cluster := running.Load(); cluster != nil {
		if err := cluster.server.Remove(); err != nil {
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
	server, err := postgrestest.New("")
	if server == nil {
		return nil, err
	}
	cluster := &Cluster{server}
	running.Store(cluster)
	if err != nil {
		return nil, err
	}
	return cluster, server.Start()
}

// DurablePostgres names an empty database in a cluster of its own that waits for the disk, as one does that
// is not for tests.
func DurablePostgres(t testing.TB) (url string) {
	t.Helper()
	return startCluster(t, true).Database(t)
}

// StartCluster starts a cluster for one test, which may stop it and start it again.
func StartCluster(t *testing.T) *Cluster {
	t.Helper()
	return startCluster(t, false)
}

func startCluster(t testing.TB, durable bool) *Cluster {
	t.Helper()
	server, err := postgrestest.New("")
	if server != nil {
		t.Cleanup(func() { require.NoError(t, server.Remove()) })
	}
	require.NoError(t, err)
	server.Durable = durable
	require.NoError(t, server.Start())
	return &Cluster{server}
}

// Stop stops the server at once, as a crash would.
func (c *Cluster) Stop(t *testing.T) {
	t.Helper()
	require.NoError(t, c.server.Stop())
}

// Start starts the server again after Stop.
func (c *Cluster) Start(t *testing.T) {
	t.Helper()
	require.NoError(t, c.server.Start())
}

// Database makes an empty database and names it.
func (c *Cluster) Database(t testing.TB) (address string) {
	t.Helper()
	address, err := c.server.Database(context.Background())
	require.NoError(t, err)
	return address
}

// DropListeners breaks the connections over which stores hear of changes; they come back after a second.
func DropListeners(t testing.TB, url string) {
	t.Helper()
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close(ctx)) }()
	dropped, err := connection.Exec(ctx, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'")
	require.NoError(t, err)
	require.NotZero(t, dropped.RowsAffected())
}
