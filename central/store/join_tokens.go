package store

import (
	"context"
	"fmt"
	"time"
)

// JoinToken lets nodes join. Its secret is not kept, only the hash.
type JoinToken struct {
	ID          string
	Hash        []byte
	Description string
	UsesLeft    int64
	CreatedBy   string
	CreateTime  time.Time
	ExpireTime  time.Time
}

const columnsOfJoin = "id, hash, description, uses_left, created_by, create_time, expire_time"

func scanJoinToken(row scanner) (JoinToken, error) {
	var t JoinToken
	var created, expires int64
	err := row.Scan(&t.ID, &t.Hash, &t.Description, &t.UsesLeft, &t.CreatedBy, &created, &expires)
	t.CreateTime, t.ExpireTime = FromMicros(created), FromMicros(expires)
	return t, err
}

// CreateJoinToken keeps a new token.
func (tx *Tx) CreateJoinToken(ctx context.Context, t JoinToken) error {
	_, err := tx.Exec(ctx, "INSERT INTO join_tokens ("+columnsOfJoin+") VALUES ($1, $2, $3, $4, $5, $6, $7)",
		t.ID, t.Hash, t.Description, t.UsesLeft, t.CreatedBy, Micros(t.CreateTime), Micros(t.ExpireTime))
	return err
}

// JoinToken returns ErrNotFound when there is none of that ID.
func (tx *Tx) JoinToken(ctx context.Context, id string) (JoinToken, error) {
	t, err := scanJoinToken(tx.QueryRow(ctx, "SELECT "+columnsOfJoin+" FROM join_tokens WHERE id = $1", id))
	if err != nil {
		return JoinToken{}, fmt.Errorf("join token %q: %w", id, translate(err))
	}
	return t, nil
}

// JoinTokens returns those that can still be used, the newest first.
func (tx *Tx) JoinTokens(ctx context.Context, now time.Time) ([]JoinToken, error) {
	return collect(ctx, tx, scanJoinToken, "SELECT "+columnsOfJoin+" FROM join_tokens WHERE uses_left > 0 AND expire_time > $1 ORDER BY id DESC", Micros(now))
}

// UseJoinToken takes one use of the token, and reports false where there is none left or it has expired.
func (tx *Tx) UseJoinToken(ctx context.Context, id string, now time.Time) (bool, error) {
	changed, err := tx.Exec(ctx, "UPDATE join_tokens SET uses_left = uses_left - 1 WHERE id = $1 AND uses_left > 0 AND expire_time > $2", id, Micros(now))
	return changed == 1, err
}

// DeleteJoinToken ends a token.
func (tx *Tx) DeleteJoinToken(ctx context.Context, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM join_tokens WHERE id = $1", id)
	return err
}

// DeleteOldJoinTokens forgets those that expired before a moment.
func (tx *Tx) DeleteOldJoinTokens(ctx context.Context, before time.Time) error {
	_, err := tx.Exec(ctx, "DELETE FROM join_tokens WHERE expire_time < $1", Micros(before))
	return err
}
