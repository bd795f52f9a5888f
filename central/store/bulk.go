package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// most is how many rows or values one statement takes on SQLite. The sizes of statements are powers of
// two, so that there are few different ones to prepare.
const most = 128

// insert runs a statement that begins with head and ends with tail for all rows. A column has one type
// in all rows: int, int64, string, bool or []byte.
func (tx *Tx) insert(ctx context.Context, head string, rows [][]any, tail string) error {
	if len(rows) == 0 {
		return nil
	}
	if tx.dialect == postgres {
		return tx.insertColumns(ctx, head, rows, tail)
	}
	return inChunks(rows, func(some [][]any) error {
		// SQLite looks up each $1 among all others, which takes longer than to insert.
		row := "(?" + strings.Repeat(",?", len(some[0])-1) + ")"
		_, err := tx.Exec(ctx, head+" VALUES "+row+strings.Repeat(", "+row, len(some)-1)+" "+tail, slices.Concat(some...)...)
		return err
	})
}

// insertColumns hands PostgreSQL each column as one array: it reads, plans and answers a few parameters
// for all rows, where it would take longer to read thousands than to insert.
func (tx *Tx) insertColumns(ctx context.Context, head string, rows [][]any, tail string) error {
	columns, parameters := make([]any, len(rows[0])), make([]string, len(rows[0]))
	for i, value := range rows[0] {
		parameters[i] = "$" + strconv.Itoa(i+1)
		switch value.(type) {
		case int, int64:
			parameters[i] += "::bigint[]"
		case string:
			parameters[i] += "::text[]"
		case bool:
			parameters[i] += "::boolean[]"
		case []byte:
			parameters[i] += "::bytea[]"
		default:
			return fmt.Errorf("column %d of %q: a %T is not known", i, head, value)
		}
		column := make([]any, len(rows))
		for j := range rows {
			column[j] = rows[j][i]
		}
		columns[i] = column
	}
	_, err := tx.Exec(ctx, head+" SELECT * FROM unnest("+strings.Join(parameters, ", ")+") "+tail, columns...)
	return err
}

// inChunks hands on all, so many at a time that there are few different lengths.
func inChunks[T any](all []T, do func([]T) error) error {
	for size := most; len(all) > 0; {
		for size > len(all) {
			size /= 2
		}
		if err := do(all[:size]); err != nil {
			return err
		}
		all = all[size:]
	}
	return nil
}

// insertNew writes rows of which those that are there already stay as they are.
func (tx *Tx) insertNew(ctx context.Context, into string, rows [][]any) error {
	return tx.insert(ctx, "INSERT INTO "+into, rows, "ON CONFLICT DO NOTHING")
}

// conditions gathers them and their parameters; ? in a condition is its parameter.
type conditions struct {
	texts []string
	args  []any
}

// param adds a parameter and returns how the query names it.
func (w *conditions) param(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

func (w *conditions) add(condition string, values ...any) {
	for _, value := range values {
		condition = strings.Replace(condition, "?", w.param(value), 1)
	}
	w.texts = append(w.texts, condition)
}

// oneOf adds that column is one of values; none of them is no condition.
func oneOf[T any](w *conditions, column string, values []T) {
	if len(values) > 0 {
		w.texts = append(w.texts, column+" IN ("+list(w, values)+")")
	}
}

// list adds parameters and returns how the query names them.
func list[T any](w *conditions, values []T) string {
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = w.param(value)
	}
	return strings.Join(names, ", ")
}

func (w *conditions) String() string {
	if len(w.texts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.texts, " AND ")
}

// likeEscaper makes a text match itself.
var likeEscaper = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// contains adds that column, which is in lower case, has the part in it; no part is no condition.
func (w *conditions) contains(column, part string) {
	if part != "" {
		w.add(w.like(column, part))
	}
}

// like adds a parameter and returns the condition that column has the part in it.
func (w *conditions) like(column, part string) string {
	return column + " LIKE " + w.param("%"+likeEscaper.Replace(strings.ToLower(part))+"%") + " ESCAPE '!'"
}

// eachRow runs a query and hands every row on, without keeping them.
func eachRow[T any](ctx context.Context, tx *Tx, scan func(scanner) (T, error), do func(T) error, query string, args ...any) error {
	rows, err := tx.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return err
		}
		if err := do(one); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scanText(row scanner) (text string, err error) { return text, row.Scan(&text) }

// inHashes runs do, with a condition that the column is one of the hashes, for all of them.
func (tx *Tx) inHashes(column string, all []hash, do func(w *conditions) error) error {
	blobs := make([]any, len(all))
	for i := range all {
		blobs[i] = all[i][:]
	}
	w := &conditions{}
	if tx.dialect == postgres {
		w.add(column+" = ANY(?::bytea[])", blobs)
		return do(w)
	}
	return inChunks(blobs, func(some []any) error {
		w = &conditions{}
		oneOf(w, column, some)
		return do(w)
	})
}

// planByIndex keeps PostgreSQL from plans of a time when the tables were small: it reads all of a table
// that it takes for small, and keeps a plan for as long as nobody has analysed the tables anew.
func (tx *Tx) planByIndex(ctx context.Context) error {
	return tx.set(ctx, "enable_seqscan", "off", "enable_hashjoin", "off", "enable_mergejoin", "off")
}

// planEachTime lets PostgreSQL plan for the very values that are asked for, and not compile the plan: that takes longer than
// most of these queries.
func (tx *Tx) planEachTime(ctx context.Context) error {
	return tx.set(ctx, "plan_cache_mode", "force_custom_plan", "jit", "off")
}

// set changes settings of PostgreSQL until the transaction ends.
func (tx *Tx) set(ctx context.Context, settings ...any) error {
	if tx.dialect == sqlite {
		return nil
	}
	var calls []string
	for i := 1; i < len(settings); i += 2 {
		calls = append(calls, "set_config($"+strconv.Itoa(i)+", $"+strconv.Itoa(i+1)+", true)")
	}
	_, err := tx.Exec(ctx, "SELECT "+strings.Join(calls, ", "), settings...)
	return err
}
