package store

import "database/sql"

// dialect is which database it is, for the few things that differ.
type dialect int

const (
	sqlite dialect = iota
	postgres
)

// writing is how a transaction that changes things begins. SQLite's begin by taking the one write lock
// (_txlock in the data source name), which makes them serial.
func (d dialect) writing() *sql.TxOptions {
	if d == sqlite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelSerializable}
}

func (d dialect) reading() *sql.TxOptions {
	if d == sqlite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

// waiting is how a transaction begins that waits for rows which another is changing, instead of failing
// when they were changed. It must not rely on what it read without locking it.
func (d dialect) waiting() *sql.TxOptions {
	if d == sqlite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

// forUpdate locks what a query reads of the table until the transaction ends. SQLite has locked
// everything.
func (d dialect) forUpdate(table string) string {
	if d == sqlite {
		return ""
	}
	return " FOR UPDATE OF " + table
}
