package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/central/store/postgrestest"
)

// Dump returns the database at a URL as SQL, which Load takes.
func Dump(t *testing.T, url string) string {
	t.Helper()
	if path, is := strings.CutPrefix(url, "sqlite:"); is {
		db := openFile(t, path)
		return schemaOf(t, db, "rowid") + rowsOf(t, db)
	}
	text, err := postgrestest.Dump(context.Background(), url)
	require.NoError(t, err)
	return text
}

// Schema returns the tables and indexes of the database at a URL as SQL, sorted by name.
func Schema(t *testing.T, url string) string {
	t.Helper()
	if path, is := strings.CutPrefix(url, "sqlite:"); is {
		return schemaOf(t, openFile(t, path), "name")
	}
	text, err := postgrestest.Dump(context.Background(), url, "--schema-only")
	require.NoError(t, err)
	return text
}

// Load fills the database at a URL, which is empty, with what Dump returned.
func Load(t *testing.T, url, text string) {
	t.Helper()
	if path, is := strings.CutPrefix(url, "sqlite:"); is {
		_, err := openFile(t, path).Exec(text)
		require.NoError(t, err)
		return
	}
	require.NoError(t, postgrestest.Load(context.Background(), url, text))
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func schemaOf(t *testing.T, db *sql.DB, order string) string {
	t.Helper()
	// What SQLite makes by itself is named sqlite_… or has no text.
	statements := texts(t, db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY "+order)
	return strings.Join(statements, ";\n\n") + ";\n\n"
}

// rowsOf is an INSERT for each row of each table.
func rowsOf(t *testing.T, db *sql.DB) string {
	t.Helper()
	var all strings.Builder
	for _, table := range texts(t, db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid") {
		columns := texts(t, db, "SELECT 'quote(' || name || ')' FROM pragma_table_info('"+table+"') ORDER BY cid")
		for _, row := range texts(t, db, "SELECT "+strings.Join(columns, " || ', ' || ")+" FROM "+table) {
			fmt.Fprintf(&all, "INSERT INTO %s VALUES (%s);\n", table, row)
		}
	}
	return all.String()
}

func texts(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(t, rows.Err())
	return all
}
