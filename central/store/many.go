package store

import (
	"context"
	"strconv"
	"strings"
)

// most is how many rows or values one statement takes. The sizes of statements are powers of two, so
// that there are few different ones to prepare.
const most = 128

// insert runs a statement that begins with head and ends with tail for all rows.
func (tx *Tx) insert(ctx context.Context, head string, rows [][]any, tail string) error {
	return inChunks(rows, func(some [][]any) error {
		var text strings.Builder
		text.WriteString(head)
		args := make([]any, 0, len(some)*len(some[0]))
		for i, row := range some {
			if i == 0 {
				text.WriteString(" VALUES (")
			} else {
				text.WriteString(", (")
			}
			for j := range row {
				if j > 0 {
					text.WriteByte(',')
				}
				if tx.dialect == sqlite { // looks up each $1 among all others, which takes longer than to insert
					text.WriteByte('?')
					continue
				}
				text.WriteByte('$')
				text.WriteString(strconv.Itoa(len(args) + j + 1))
			}
			text.WriteByte(')')
			args = append(args, row...)
		}
		text.WriteByte(' ')
		text.WriteString(tail)
		_, err := tx.Exec(ctx, text.String(), args...)
		return err
	})
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

// where gathers what must hold for a row, and the arguments of the query.
type where struct {
	clauses []string
	args    []any
}

// arg adds an argument and returns how the query names it.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

func (w *where) add(clause string) { w.clauses = append(w.clauses, clause) }

// in asks that the column is one of the values; no values ask nothing.
func (w *where) in(column string, values []any) {
	if len(values) > 0 {
		w.add(column + " IN (" + w.list(values) + ")")
	}
}

func (w *where) list(values []any) string {
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = w.arg(value)
	}
	return strings.Join(names, ",")
}

func (w *where) sql() string {
	if len(w.clauses) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.clauses, " AND ")
}

func blobs(ids []hash) []any {
	all := make([]any, len(ids))
	for i := range ids {
		all[i] = ids[i][:]
	}
	return all
}

func anys[T any](values []T) []any {
	all := make([]any, len(values))
	for i, value := range values {
		all[i] = value
	}
	return all
}

// planByIndex keeps PostgreSQL from plans of a time when the tables were small: it reads all of a table
// that it takes for small, and keeps a plan for as long as nobody has analysed the tables anew.
func (tx *Tx) planByIndex(ctx context.Context) error {
	return tx.set(ctx, "enable_seqscan", "off", "enable_hashjoin", "off", "enable_mergejoin", "off")
}

// planEachTime lets PostgreSQL plan for the very values that are asked for.
func (tx *Tx) planEachTime(ctx context.Context) error {
	return tx.set(ctx, "plan_cache_mode", "force_custom_plan")
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
