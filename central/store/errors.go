package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What a caller may want to tell apart. Methods return them wrapped.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrRevision says that what was to be changed is not any more what was seen.
	ErrRevision = errors.New("was changed by somebody else meanwhile")
	// ErrText says that a text holds what the database cannot keep, such as a zero byte.
	ErrText = errors.New("text holds a character that cannot be stored")
	// ErrUnavailable says that the database cannot be used now. What was asked may be asked again.
	ErrUnavailable = errors.New("the database cannot be used at the moment")
	// ErrFull says that the database has no space left; it is ErrUnavailable, too.
	ErrFull = fmt.Errorf("%w: there is no space left for it", ErrUnavailable)
)

// translate wraps an error of a driver in the sentinel that says what it means.
func translate(err error) error {
	sentinel := meaning(err)
	if err == nil || sentinel == nil || errors.Is(err, sentinel) {
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

func meaning(err error) error {
	var pg *pgconn.PgError
	var lite *sqlitedriver.Error
	var network *net.OpError // net.Error would be every errno, such as of a file that is not there
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.As(err, &connect): // may wrap a PgError such as a wrong password
		return ErrUnavailable
	case errors.As(err, &pg):
		return postgresMeaning(pg.Code)
	case errors.As(err, &lite):
		return sqliteMeaning(lite.Code())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return ErrUnavailable
	}
	return nil
}

// Codes are listed in appendix A of PostgreSQL's documentation.
func postgresMeaning(code string) error {
	switch {
	case code == "23505":
		return ErrExists
	case code == "22021", code == "22P05":
		return ErrText
	case code == "53100":
		return ErrFull
	case code == "25006", // a replica that only reads, as after a fail-over
		strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "58"):
		return ErrUnavailable
	case isConflictCode(code):
		return ErrUnavailable
	}
	return nil
}

func sqliteMeaning(code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return ErrExists
	}
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return ErrFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return ErrUnavailable
	}
	return nil
}

// isConflict tells whether a transaction failed only because another ran at the same time.
func isConflict(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return isConflictCode(pg.Code)
	}
	var lite *sqlitedriver.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_BUSY
}

func isConflictCode(code string) bool { return code == "40001" || code == "40P01" }
