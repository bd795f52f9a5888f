package store

import (
	"context"
	"errors"
	"fmt"
)

// Key returns the key of that name, which all replicas share. The first who asks makes it.
func (s *Store) Key(ctx context.Context, name string, create func() ([]byte, error)) ([]byte, error) {
	var value []byte
	err := s.Tx(ctx, func(tx *Tx) error {
		err := translate(tx.QueryRow(ctx, "SELECT value FROM keys WHERE name = $1", name).Scan(&value))
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if value, err = create(); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO keys (name, value) VALUES ($1, $2)", name, value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return value, nil
}
