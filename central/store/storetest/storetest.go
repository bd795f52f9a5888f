// Package storetest answers: does the store keep its promises on both databases?
//
// Run gives a test an empty store on SQLite and one on a real PostgreSQL. The tests of each domain are
// in the store's own package, one file for each.
package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/central/store"
)

// Run runs test twice, on an empty store of either database.
func Run(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, Open(t, SQLite(t))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, Open(t, Postgres(t))) })
}

// SQLite names a database that is not there yet.
func SQLite(t testing.TB) (url string) {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "central.db")
}

// Open opens a store and closes it when the test ends. Two stores of one URL are two replicas.
func Open(t testing.TB, url string) *store.Store {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	s, err := store.Open(context.Background(), store.Options{URL: url, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
