package store

import (
	"context"
	"fmt"
	"time"
)

// Session is one login. Its secret is not kept, only the hash.
type Session struct {
	Hash        []byte
	User        string
	CreateTime  time.Time
	LastUseTime time.Time
	ExpireTime  time.Time
}

// CreateSession keeps a new session, and removes all that are over.
func (tx *Tx) CreateSession(ctx context.Context, s Session) error {
	if _, err := tx.Exec(ctx, "DELETE FROM sessions WHERE expire_time < $1", Micros(s.CreateTime)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO sessions (hash, user_name, create_time, last_use_time, expire_time) VALUES ($1, $2, $3, $4, $5)",
		s.Hash, s.User, Micros(s.CreateTime), Micros(s.LastUseTime), Micros(s.ExpireTime))
	return err
}

// Session returns ErrNotFound when there is none of that hash, be it over or never there.
func (tx *Tx) Session(ctx context.Context, hash []byte) (Session, error) {
	s := Session{Hash: hash}
	var created, used, expires int64
	err := tx.QueryRow(ctx, "SELECT user_name, create_time, last_use_time, expire_time FROM sessions WHERE hash = $1", hash).
		Scan(&s.User, &created, &used, &expires)
	if err != nil {
		return Session{}, fmt.Errorf("session: %w", translate(err))
	}
	s.CreateTime, s.LastUseTime, s.ExpireTime = FromMicros(created), FromMicros(used), FromMicros(expires)
	return s, nil
}

// UseSession notes that the session was used.
func (tx *Tx) UseSession(ctx context.Context, hash []byte, now time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE sessions SET last_use_time = $2 WHERE hash = $1", hash, Micros(now))
	return err
}

// DeleteSession ends one session.
func (tx *Tx) DeleteSession(ctx context.Context, hash []byte) error {
	_, err := tx.Exec(ctx, "DELETE FROM sessions WHERE hash = $1", hash)
	return err
}

// DeleteSessions ends all sessions of the user but the one with the hash except, which may be nil.
func (tx *Tx) DeleteSessions(ctx context.Context, user string, except []byte) error {
	if except == nil {
		except = []byte{} // NULL would be unequal to nothing
	}
	_, err := tx.Exec(ctx, "DELETE FROM sessions WHERE user_name = $1 AND hash <> $2", user, except)
	return err
}
