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
