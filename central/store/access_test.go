package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// inTx runs do in a transaction that has to go well.
func inTx(t *testing.T, s *store.Store, do func(tx *store.Tx)) {
	t.Helper()
	require.NoError(t, s.Tx(ctx, func(tx *store.Tx) error { do(tx); return nil }))
}

func TestAUserIsReadAsItWasWritten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		u := store.User{
			Name: "ann", Role: "editor", PasswordHash: "$argon2id$…", External: true, Subject: "https://issuer|1", Disabled: true,
			MustChangePassword: true, CreateTime: noon, LastLoginTime: noon.Add(123 * time.Microsecond),
		}
		inTx(t, s, func(tx *store.Tx) { require.NoError(t, tx.CreateUser(ctx, u)) })
		inTx(t, s, func(tx *store.Tx) {
			read, err := tx.User(ctx, "ann")
			require.NoError(t, err)
			require.Equal(t, u, read)
			read, err = tx.UserBySubject(ctx, u.Subject)
			require.NoError(t, err)
			require.Equal(t, u, read)
			_, err = tx.UserBySubject(ctx, "")
			require.ErrorIs(t, err, store.ErrNotFound)
			u.Role, u.Subject, u.Disabled, u.External, u.MustChangePassword, u.LastLoginTime = "viewer", "", false, false, false, time.Time{}
			require.NoError(t, tx.UpdateUser(ctx, u))
			read, err = tx.User(ctx, "ann")
			require.NoError(t, err)
			require.Equal(t, u, read)
		})
	})
}

func TestANameIsTakenOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		addUser(t, s, "ann")
		addUser(t, s, "bob") // neither has a subject, which is no conflict
		err := s.Tx(ctx, func(tx *store.Tx) error { return tx.CreateUser(ctx, store.User{Name: "ann"}) })
		require.ErrorIs(t, err, store.ErrExists)
	})
}

func TestADeletedUserLeavesNeitherSessionsNorTokens(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		addUser(t, s, "ann")
		inTx(t, s, func(tx *store.Tx) {
			require.NoError(t, tx.CreateSession(ctx, store.Session{Hash: []byte{0, 1}, User: "ann", ExpireTime: noon}))
			require.NoError(t, tx.CreateToken(ctx, store.Token{ID: "t", Hash: []byte{2}, User: "ann", Role: "viewer", ExpireTime: noon}))
			require.NoError(t, tx.DeleteUser(ctx, "ann"))
		})
		inTx(t, s, func(tx *store.Tx) {
			_, err := tx.Session(ctx, []byte{0, 1})
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = tx.TokenByHash(ctx, []byte{2})
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	})
}

func TestSessionsThatAreOverAreForgotten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		addUser(t, s, "ann")
		session := func(id byte, created time.Time) store.Session {
			return store.Session{Hash: []byte{id}, User: "ann", CreateTime: created, LastUseTime: created, ExpireTime: created.Add(time.Hour)}
		}
		inTx(t, s, func(tx *store.Tx) {
			require.NoError(t, tx.CreateSession(ctx, session(1, noon)))
			require.NoError(t, tx.CreateSession(ctx, session(2, noon.Add(2*time.Hour))))
			require.NoError(t, tx.CreateSession(ctx, session(3, noon.Add(2*time.Hour))))
			_, err := tx.Session(ctx, []byte{1})
			require.ErrorIs(t, err, store.ErrNotFound)
			require.NoError(t, tx.UseSession(ctx, []byte{2}, noon.Add(3*time.Hour)))
			used, err := tx.Session(ctx, []byte{2})
			require.NoError(t, err)
			require.Equal(t, noon.Add(3*time.Hour), used.LastUseTime)
			require.NoError(t, tx.DeleteSessions(ctx, "ann", []byte{3}))
			_, err = tx.Session(ctx, []byte{2})
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = tx.Session(ctx, []byte{3})
			require.NoError(t, err)
			require.NoError(t, tx.DeleteSessions(ctx, "ann", nil))
			_, err = tx.Session(ctx, []byte{3})
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	})
}

func TestTokensAreListedTheNewestFirst(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		addUser(t, s, "ann")
		addUser(t, s, "bob")
		var made []store.Token
		for i, user := range []string{"ann", "ann", "bob"} {
			made = append(made, store.Token{
				ID: store.NewID(), Hash: []byte{byte(i)}, Description: "d", User: user, Role: "viewer", CreateTime: noon, ExpireTime: noon.Add(time.Hour),
			})
		}
		inTx(t, s, func(tx *store.Tx) {
			for _, token := range made {
				require.NoError(t, tx.CreateToken(ctx, token))
			}
			require.NoError(t, tx.UseToken(ctx, made[0].ID, noon))
			made[0].LastUseTime = noon
			all, err := tx.Tokens(ctx, "")
			require.NoError(t, err)
			require.Equal(t, []store.Token{made[2], made[1], made[0]}, all)
			anns, err := tx.Tokens(ctx, "ann")
			require.NoError(t, err)
			require.Equal(t, []store.Token{made[1], made[0]}, anns)
			require.NoError(t, tx.DeleteToken(ctx, made[0].ID))
			_, err = tx.Token(ctx, made[0].ID)
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	})
}

func TestTheAuditLogIsFiltered(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		var ids []string
		inTx(t, s, func(tx *store.Tx) {
			for i := range 6 {
				e := store.AuditEntry{
					ID: store.NewID(), Time: noon.Add(time.Duration(i) * time.Minute), Actor: fmt.Sprintf("user:%d", i%2), Address: "::1",
					Method: "M", Kind: "user", Name: fmt.Sprint(i % 3), Before: `{"a":"ä'; DROP TABLE audit; --"}`,
				}
				ids = append(ids, e.ID)
				require.NoError(t, tx.AddAudit(ctx, e))
			}
		})
		list := func(f store.AuditFilter, before string, limit int) (found []string) {
			require.NoError(t, s.Read(ctx, func(tx *store.Tx) error {
				entries, err := tx.Audit(ctx, f, before, limit)
				for _, e := range entries {
					found = append(found, e.ID)
				}
				return err
			}))
			return found
		}
		require.Equal(t, []string{ids[5], ids[4]}, list(store.AuditFilter{}, "", 2))
		require.Equal(t, []string{ids[3], ids[2]}, list(store.AuditFilter{}, ids[4], 2))
		require.Equal(t, []string{ids[5], ids[3], ids[1]}, list(store.AuditFilter{Actor: "user:1"}, "", 9))
		require.Equal(t, []string{ids[4], ids[1]}, list(store.AuditFilter{Kind: "user", Name: "1"}, "", 9))
		require.Empty(t, list(store.AuditFilter{Kind: "policy"}, "", 9))
		require.Equal(t, []string{ids[3], ids[2]}, list(store.AuditFilter{From: noon.Add(2 * time.Minute), To: noon.Add(4 * time.Minute)}, "", 9))
	})
}

func TestTheAuditLogIsSweptALittleAtATime(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		inTx(t, s, func(tx *store.Tx) {
			for i := range 602 {
				e := store.AuditEntry{ID: store.NewID(), Time: noon.Add(time.Duration(i) * time.Minute), Name: fmt.Sprint(i)}
				require.NoError(t, tx.AddAudit(ctx, e))
			}
		})
		left := func() (found []store.AuditEntry) {
			inTx(t, s, func(tx *store.Tx) { found = must(tx.Audit(ctx, store.AuditFilter{}, "", 1000)) })
			return found
		}
		sweep := func() bool { return must(s.SweepAudit(ctx, noon.Add(600*time.Minute))) }
		require.True(t, sweep())
		require.Len(t, left(), 102)
		require.False(t, sweep())
		require.Len(t, left(), 2)
		require.Equal(t, "600", left()[1].Name, "what is exactly as old stays")
	})
}

func TestAllReplicasHaveOneKey(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		made := 0
		create := func() ([]byte, error) { made++; return []byte{0xff, 0, byte(made)}, nil }
		first, err := s.Key(ctx, "k", create)
		require.NoError(t, err)
		again, err := s.Key(ctx, "k", create)
		require.NoError(t, err)
		require.Equal(t, first, again)
		other, err := s.Key(ctx, "other", create)
		require.NoError(t, err)
		require.NotEqual(t, first, other)
	})
}
