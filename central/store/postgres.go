package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	connections    = 16
	connectTimeout = 5 * time.Second
	// listenRetry is how long a lost connection of the listener stays lost at least.
	listenRetry = time.Second
	// listenCheck is how often the listener asks whether its connection still lives.
	listenCheck = 30 * time.Second
)

func (s *Store) openPostgres(url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("the URL cannot be read; write postgres://user@host:5432/name, special characters in the password as %XX") // pgx would tell the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	s.dialect = postgres
	s.read = stdlib.OpenDB(*config)
	s.read.SetMaxOpenConns(connections)
	s.read.SetMaxIdleConns(connections)
	s.read.SetConnMaxIdleTime(5 * time.Minute)
	s.write = s.read

	ctx, cancel := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	s.close = func() error {
		cancel()
		listening.Wait()
		return s.read.Close()
	}
	s.changes.source = func() { listening.Go(func() { s.listenPostgres(ctx, config) }) }
	return nil
}

// listenPostgres takes in what any replica notifies, over a connection of its own, until ctx ends. What
// is notified while the connection is lost is lost, and subscribers are told so.
func (s *Store) listenPostgres(ctx context.Context, config *pgx.ConnConfig) {
	for ctx.Err() == nil {
		err := s.listenOnce(ctx, config)
		if ctx.Err() != nil {
			return
		}
		s.log.WithError(err).Warn("the database does not tell of changes; trying again")
		timer := time.NewTimer(listenRetry)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (s *Store) listenOnce(ctx context.Context, config *pgx.ConnConfig) error {
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		defer cancel()
		_ = connection.Close(ctx) // it may be broken already
	}()
	if _, err := connection.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		return err
	}
	s.changes.lose()
	for {
		err := s.receive(ctx, connection)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = check(ctx, connection)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Store) receive(ctx context.Context, connection *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, listenCheck)
	defer cancel()
	notification, err := connection.WaitForNotification(ctx)
	if err != nil {
		return err
	}
	s.changes.deliver(decodeChange(notification.Payload))
	return nil
}

func check(ctx context.Context, connection *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return connection.Ping(ctx)
}
