package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var (
	ctx  = context.Background()
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

func addUser(t *testing.T, s *store.Store, name string) {
	t.Helper()
	require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error {
		return tx.CreateUser(ctx, store.User{Name: name, Role: "viewer", CreateTime: noon})
	}))
}

func TestAFailedTransactionChangesNothingAndNotifiesNobody(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		heard := s.Subscribe("users")
		defer heard.End()
		settle(t, s, heard)
		failure := errors.New("no")
		err := s.Tx(ctx, func(tx *store.Tx) error {
			tx.Notify("users", "a")
			return errors.Join(tx.CreateUser(ctx, store.User{Name: "a", Role: "viewer"}), failure)
		})
		require.ErrorIs(t, err, failure)
		require.ErrorIs(t, s.Read(ctx, func(tx *store.Tx) error { _, err := tx.User(ctx, "a"); return err }), store.ErrNotFound)
		require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error { tx.Notify("users", "b"); return nil }))
		payloads, lost := take(t, heard)
		require.False(t, lost)
		require.Equal(t, []string{"b"}, payloads)
	})
}

// settle waits until notifications arrive.
func settle(t *testing.T, s *store.Store, heard *store.Subscription) {
	t.Helper()
	for i := range 300 {
		last := fmt.Sprint("settle ", i)
		require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error { tx.Notify("users", last); return nil }))
		select {
		case <-heard.Ready():
			// Later than the last nothing of ours can come.
			if payloads, lost := heard.Take(); !lost && len(payloads) > 0 && payloads[len(payloads)-1] == last {
				return
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("what is notified is not heard")
}

func take(t *testing.T, heard *store.Subscription) (payloads []string, lost bool) {
	t.Helper()
	for payloads == nil && !lost { // it may be ready for what was taken already
		select {
		case <-heard.Ready():
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was notified")
		}
		payloads, lost = heard.Take()
	}
	return payloads, lost
}

func TestConcurrentChangesAreNotLost(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		addUser(t, s, "counter")
		const callers, times = 100, 2
		var all sync.WaitGroup
		failed := make(chan error, callers*times)
		for range callers {
			all.Go(func() {
				for range times {
					failed <- s.Tx(ctx, func(tx *store.Tx) error {
						u, err := tx.User(ctx, "counter")
						if err != nil {
							return err
						}
						u.PasswordHash += "x"
						if err := tx.UpdateUser(ctx, u); err != nil {
							return err
						}
						for range 10 { // others come meanwhile
							if _, err := tx.Users(ctx); err != nil {
								return err
							}
						}
						return nil
					})
				}
			})
		}
		all.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err)
		}
		require.NoError(t, s.Read(ctx, func(tx *store.Tx) error {
			u, err := tx.User(ctx, "counter")
			require.Len(t, u.PasswordHash, callers*times)
			return err
		}))
	})
}

func TestAReadCannotWrite(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		require.Error(t, s.Read(ctx, func(tx *store.Tx) error { return tx.CreateUser(ctx, store.User{Name: "a"}) }))
	})
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error {
			require.NoError(t, tx.CreateUser(ctx, store.User{Name: "a"}))
			return s.Read(ctx, func(tx *store.Tx) error {
				users, err := tx.Users(ctx)
				require.Empty(t, users)
				return err
			})
		}))
	})
}

func TestTextThatCannotBeStoredIsToldApart(t *testing.T) {
	s := storetest.Open(t, storetest.Postgres(t)) // SQLite takes it
	err := s.Tx(ctx, func(tx *store.Tx) error { return tx.CreateUser(ctx, store.User{Name: "a\x00b"}) })
	require.ErrorIs(t, err, store.ErrText)
}

func TestAChangeOnOneReplicaIsHeardOnTheOther(t *testing.T) {
	url := storetest.Postgres(t)
	one, other := storetest.Open(t, url), storetest.Open(t, url)
	heard := other.Subscribe("users")
	defer heard.End()
	settle(t, one, heard)
	require.NoError(t, one.Tx(ctx, func(tx *store.Tx) error { tx.Notify("users", "with: colon"); return nil }))
	payloads, lost := take(t, heard)
	require.False(t, lost)
	require.Equal(t, []string{"with: colon"}, payloads)
}

func TestADatabaseThatWentAwayIsUnavailableAndComesBack(t *testing.T) {
	cluster := storetest.StartCluster(t)
	s := storetest.Open(t, cluster.Database(t))
	heard := s.Subscribe("users")
	defer heard.End()
	settle(t, s, heard)
	cluster.Stop(t)
	require.ErrorIs(t, s.Ping(ctx), store.ErrUnavailable)
	require.ErrorIs(t, s.Tx(ctx, func(tx *store.Tx) error { return tx.CreateUser(ctx, store.User{Name: "a"}) }), store.ErrUnavailable)
	cluster.Start(t)
	require.Eventually(t, func() bool { return s.Ping(ctx) == nil }, 30*time.Second, 10*time.Millisecond)
	_, lost := take(t, heard)
	require.True(t, lost, "what was notified meanwhile is missing, and the subscriber has to know")
	settle(t, s, heard)
}

func TestASubscriberThatDoesNotLookTakesNoMemory(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	heard := s.Subscribe("users")
	defer heard.End()
	require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error {
		for range 5_000 {
			tx.Notify("users", "a")
		}
		return nil
	}))
	payloads, lost := take(t, heard)
	require.True(t, lost)
	require.Empty(t, payloads)
}

func TestAFullDiskIsToldAndNothingOfTheChangeStays(t *testing.T) {
	url := storetest.SQLite(t)
	s := storetest.Open(t, url)
	require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error { _, err := tx.Exec(ctx, "PRAGMA max_page_count = 1"); return err })) // as many as there are
	err := s.Tx(ctx, func(tx *store.Tx) error {
		for _, name := range []string{"a", "b"} {
			if err := tx.CreateUser(ctx, store.User{Name: name, PasswordHash: strings.Repeat("x", 1<<20)}); err != nil {
				return err
			}
		}
		return nil
	})
	require.ErrorIs(t, err, store.ErrFull)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error { _, err := tx.Exec(ctx, "PRAGMA max_page_count = 1000000"); return err }))
	require.NoError(t, s.Read(ctx, func(tx *store.Tx) error {
		users, err := tx.Users(ctx)
		require.Empty(t, users)
		return err
	}))
	addUser(t, s, "a")
}

func TestTheDatabaseFilesAreForTheirOwnerOnly(t *testing.T) {
	url := storetest.SQLite(t)
	s := storetest.Open(t, url)
	addUser(t, s, "a")
	files, err := filepath.Glob(strings.TrimPrefix(url, "sqlite:") + "*")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}
}

func TestAnOlderCentralRefusesANewerSchema(t *testing.T) {
	for name, url := range map[string]string{"SQLite": storetest.SQLite(t), "PostgreSQL": storetest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t, url)
			require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, $1)", true)
				return err
			}))
			_, err := store.Open(ctx, store.Options{URL: url})
			require.ErrorContains(t, err, "migration 9999, which this version does not know")
		})
	}
}

func TestReplicasMayStartAtTheSameTime(t *testing.T) {
	url := storetest.Postgres(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { storetest.Open(t, url) })
	}
	all.Wait()
}

func TestAURLThatCannotBeReadDoesNotTellItsPassword(t *testing.T) {
	for _, url := range []string{"mysql://u:geheim@h/d", "postgres://u:geheim@h:port/d", "sqlite:relative"} {
		_, err := store.Open(ctx, store.Options{URL: url})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "geheim")
	}
}

func TestClosingLeavesNothingRunning(t *testing.T) {
	// The database's own goroutines of other tests are theirs.
	url := storetest.Postgres(t)
	before := goleak.IgnoreCurrent()
	for _, url := range []string{storetest.SQLite(t), url} {
		s, err := store.Open(ctx, store.Options{URL: url})
		require.NoError(t, err)
		require.NoError(t, s.Ping(ctx))
		require.NoError(t, s.Close())
	}
	goleak.VerifyNone(t, before)
}
