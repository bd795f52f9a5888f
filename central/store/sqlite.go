package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// readers is how many reads go on at the same time. Each keeps at most 16 MiB of the database in memory,
// the writer 64 MiB.
const readers = 8

func (s *Store) openSQLite(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("sqlite:%s: the path must be absolute", path)
	}
	// SQLite gives its journal the permissions of the file.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	s.dialect = sqlite
	if s.write, err = sql.Open("sqlite", sqliteSource(path, "immediate", "synchronous(FULL)", "cache_size(-65536)", "temp_store(MEMORY)", "wal_autocheckpoint(10000)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", sqliteSource(path, "deferred", "query_only(1)", "cache_size(-16384)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	s.close = func() error { return errors.Join(s.read.Close(), s.write.Close()) }
	return nil
}

// sqliteSource names the database and how each connection to it behaves. Other processes, such as a
// reset of a password, may write for a moment.
func sqliteSource(path, lock string, pragmas ...string) string {
	query := url.Values{
		"_txlock": {lock},
		"_pragma": append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)"}, pragmas...),
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}
