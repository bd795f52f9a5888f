package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Each domain numbers its migrations in a block of its own, so
// a newer version may bring one with a smaller number than what was applied.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithAllowOutofOrder(true)}
	dialect := goose.DialectSQLite3
	if s.dialect == postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120)) // replicas may start at the same time
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, s.write, files, options...)
	if err != nil {
		return err
	}
	if err := s.refuseNewer(ctx, provider, dialect); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	return nil
}

// refuseNewer keeps an older central from working on a schema that it does not understand.
func (s *Store) refuseNewer(ctx context.Context, provider *goose.Provider, dialect goose.Dialect) error {
	if _, err := provider.GetDBVersion(ctx); err != nil { // makes the table when there is none
		return err
	}
	table, err := database.NewStore(dialect, goose.DefaultTablename)
	if err != nil {
		return err
	}
	applied, err := table.ListMigrations(ctx, s.write)
	if err != nil {
		return err
	}
	known := map[int64]bool{0: true}
	for _, source := range provider.ListSources() {
		known[source.Version] = true
	}
	for _, migration := range applied {
		if !known[migration.Version] {
			return fmt.Errorf("its schema has migration %d, which this version does not know: it was used by a newer one; start that, or restore a backup from before", migration.Version)
		}
	}
	return nil
}
