package centralapp

import (
	"context"
	"fmt"
	"os"
	"time"

	"portcullis/central/access"
	"portcullis/central/store"
)

// ResetPassword gives the user a new one-time password, in the database that config names.
func ResetPassword(ctx context.Context, config Config, user string) (password string, err error) {
	if _, err := os.Stat(config.Data); err != nil {
		return "", fmt.Errorf("data folder: %w; name that of the central that runs with --data", err)
	}
	s, err := store.Open(ctx, store.Options{URL: config.Database, Log: config.NewLogger()})
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }() // what was done is done
	return access.ResetPassword(ctx, s, user, time.Now())
}
