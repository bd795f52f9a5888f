// Package store answers: what does central know, and how is it kept?
//
// Everything that central remembers is in one database: SQLite in the data folder, or PostgreSQL where
// several replicas share it. Both take the same SQL: parameters are $1, times are BIGINT microseconds
// (Micros, FromMicros), IDs are TEXT made by NewID, JSON is TEXT. Every query is a method of Tx, in the
// file of its domain, so that what belongs together is read and changed in one transaction.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/semaphore"
)

// Options is what a store needs to be opened.
type Options struct {
	// URL is sqlite:PATH, the path absolute, or postgres://… in the form of libpq.
	URL string
	Log logrus.FieldLogger
}

// Store is an open database.
type Store struct {
	dialect dialect
	read    *sql.DB
	write   *sql.DB // the same as read on PostgreSQL
	changes *changes
	log     logrus.FieldLogger
	close   func() error
	fullAt  atomic.Int64 // when the database had no space for a change, in seconds

	changing, repeating *semaphore.Weighted // see Tx
}

// Open opens the database at options.URL and brings its schema up to date. The error is ErrUnavailable
// when the database cannot be reached, which may be over later.
func Open(ctx context.Context, options Options) (*Store, error) {
	s := &Store{log: options.Log, changes: newChanges(), changing: semaphore.NewWeighted(connections), repeating: semaphore.NewWeighted(1)}
	var err error
	switch scheme, rest, _ := strings.Cut(options.URL, ":"); scheme {
	case "sqlite":
		err = s.openSQLite(rest)
	case "postgres", "postgresql":
		err = s.openPostgres(options.URL)
	default:
		return nil, fmt.Errorf("database %q is not known; write sqlite:/path/to/file or postgres://user@host/name", scheme+":…")
	}
	if err != nil {
		return nil, fmt.Errorf("database: %w", translate(err))
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database: %w", translate(err)), s.Close())
	}
	s.listen()
	return s, nil
}

// Close ends all connections. Transactions under way fail.
func (s *Store) Close() error { return s.close() }

// Shared tells whether other processes may use the database, too: it is PostgreSQL.
func (s *Store) Shared() bool { return s.dialect == postgres }

// Ping asks the database whether it would answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.QueryRow(ctx, "SELECT 1").Scan(&one)
	})
}

// lately is how long Full remembers. Something is written all the time where there are nodes.
const lately = time.Minute

// Full tells whether the database had no space for a change lately.
func (s *Store) Full() bool { return time.Since(time.Unix(s.fullAt.Load(), 0)) < lately }

// Tx is one transaction. Its methods, in the files of their domains, are all queries that there are.
type Tx struct {
	*Store
	sql    *sql.Tx
	notify []change
}

// timeout bounds a transaction whose context has no deadline of its own, so that a database that hangs
// does not gather callers.
const timeout = 30 * time.Second

const (
	// oneAfterAnother is from which attempt on a change is repeated while no other is, and alone from which on no other
	// Tx of this process goes on at all, for which it has to wait until those under way are over.
	oneAfterAnother = 2
	alone           = 6
)

// Tx runs do in a transaction that changes things: all of it or nothing, as if no other ran at the same
// time. Where the database asks for it, do is run again, so it must not change anything else.
//
// Of many that change the same row, such as a join token that hundreds of nodes use, all but one fail each time, and some
// would at every attempt: so repeats make room for each other.
func (s *Store) Tx(ctx context.Context, do func(*Tx) error) error {
	return s.repeat(ctx, func(ctx context.Context, attempt int) error {
		gate := s.changing
		if attempt >= oneAfterAnother { // not behind those who try for the first time
			gate = s.repeating
		}
		if err := gate.Acquire(ctx, 1); err != nil {
			return err
		}
		defer gate.Release(1)
		if attempt >= alone {
			if err := s.changing.Acquire(ctx, connections); err != nil {
				return err
			}
			defer s.changing.Release(connections)
		}
		return s.try(ctx, s.write, s.dialect.writing(), do)
	})
}

// Read runs do in a transaction that sees one moment of the database and changes nothing.
func (s *Store) Read(ctx context.Context, do func(*Tx) error) error {
	return s.run(ctx, s.read, s.dialect.reading(), do)
}

func (s *Store) run(ctx context.Context, db *sql.DB, options *sql.TxOptions, do func(*Tx) error) error {
	return s.repeat(ctx, func(ctx context.Context, _ int) error { return s.try(ctx, db, options, do) })
}

const attempts = 12

// repeat tries until it is no conflict that a transaction fails of.
func (s *Store) repeat(ctx context.Context, try func(ctx context.Context, attempt int) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	for attempt := 1; ; attempt++ {
		err := try(ctx, attempt)
		if err == nil || !isConflict(err) || attempt == attempts || !pause(ctx, attempt) {
			if err = translate(err); errors.Is(err, ErrFull) {
				s.fullAt.Store(time.Now().Unix())
			}
			return err
		}
	}
}

func (s *Store) try(ctx context.Context, db *sql.DB, options *sql.TxOptions, do func(*Tx) error) error {
	under, err := db.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = under.Rollback() }() // fails after a commit, as it should
	tx := &Tx{Store: s, sql: under}
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.sendNotifications(ctx); err != nil {
		return err
	}
	if err := under.Commit(); err != nil {
		return err
	}
	if s.dialect == sqlite {
		s.changes.deliver(tx.notify...)
	}
	return nil
}

// pause waits a random time that grows with the attempts; false means that ctx ended.
func pause(ctx context.Context, attempt int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(time.Millisecond << min(attempt, 8))): //nolint:gosec // G404: jitter is no secret
		return true
	}
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := tx.sql.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// QueryRow runs a query of which one row is wanted.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.sql.QueryRowContext(ctx, query, args...)
}

// collect runs a query and scans every row.
func collect[T any](ctx context.Context, tx *Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// scanner is a row, of one or of many.
type scanner interface{ Scan(into ...any) error }

// NewID makes an ID that sorts by the time it was made.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Micros is how a time is kept; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the time that Micros was made of.
func FromMicros(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
