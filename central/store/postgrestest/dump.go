package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/jackc/pgx/v5"
)

// meta are the lines of a dump that psql alone understands, with a random word in them.
var meta = regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`)

// Dump returns the database at an address as SQL, which Load takes. Options are pg_dump's.
func Dump(ctx context.Context, address string, options ...string) (string, error) {
	arguments := append([]string{"--inserts", "--no-owner", "--no-privileges", "--dbname", address}, options...)
	dump, err := exec.CommandContext(ctx, filepath.Join(programs, "pg_dump"), arguments...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("pg_dump: %w", err)
	}
	return meta.ReplaceAllString(string(dump), ""), nil
}

// Load runs SQL of any length in the database at an address.
func Load(ctx context.Context, address, text string) error {
	connection, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = connection.PgConn().Exec(ctx, text).ReadAll()
	return errors.Join(err, connection.Close(ctx))
}
