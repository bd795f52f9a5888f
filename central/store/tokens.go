package store

import (
	"context"
	"fmt"
	"time"
)

// Token is what a program calls the API with, for its user. Its secret is not kept, only the hash.
type Token struct {
	ID          string
	Hash        []byte
	Description string
	User        string
	Role        string
	CreateTime  time.Time
	ExpireTime  time.Time
	LastUseTime time.Time
}

const tokenColumns = "id, hash, description, user_name, role, create_time, expire_time, last_use_time" //nolint:gosec // G101: names of columns

func scanToken(row scanner) (Token, error) {
	var t Token
	var created, expires, used int64
	err := row.Scan(&t.ID, &t.Hash, &t.Description, &t.User, &t.Role, &created, &expires, &used)
	t.CreateTime, t.ExpireTime, t.LastUseTime = FromMicros(created), FromMicros(expires), FromMicros(used)
	return t, err
}

// CreateToken keeps a new token.
func (tx *Tx) CreateToken(ctx context.Context, t Token) error {
	_, err := tx.Exec(ctx, "INSERT INTO tokens ("+tokenColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		t.ID, t.Hash, t.Description, t.User, t.Role, Micros(t.CreateTime), Micros(t.ExpireTime), Micros(t.LastUseTime))
	return err
}

// Token returns ErrNotFound when there is none of that ID.
func (tx *Tx) Token(ctx context.Context, id string) (Token, error) {
	t, err := scanToken(tx.QueryRow(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE id = $1", id))
	if err != nil {
		return Token{}, fmt.Errorf("token %q: %w", id, translate(err))
	}
	return t, nil
}

// TokenByHash returns ErrNotFound when there is none.
func (tx *Tx) TokenByHash(ctx context.Context, hash []byte) (Token, error) {
	t, err := scanToken(tx.QueryRow(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE hash = $1", hash))
	if err != nil {
		return Token{}, fmt.Errorf("token: %w", translate(err))
	}
	return t, nil
}

// Tokens returns those of the user, of everyone where it is empty, the newest first.
func (tx *Tx) Tokens(ctx context.Context, user string) ([]Token, error) {
	return collect(ctx, tx, scanToken, "SELECT "+tokenColumns+" FROM tokens WHERE $1 = '' OR user_name = $1 ORDER BY id DESC", user)
}

// UseToken notes that the token was used.
func (tx *Tx) UseToken(ctx context.Context, id string, now time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE tokens SET last_use_time = $2 WHERE id = $1", id, Micros(now))
	return err
}

// DeleteToken ends a token.
func (tx *Tx) DeleteToken(ctx context.Context, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM tokens WHERE id = $1", id)
	return err
}
