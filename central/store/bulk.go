package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// maxParameters bounds those of one statement. SQLite looks each of them up among all others, so that many small
// statements are faster than a large one.
const maxParameters = 600

// insertNew writes many rows, each with the same number of values, by few statements. Rows that are there already
// stay as they are.
func (tx *Tx) insertNew(ctx context.Context, into string, rows [][]any) error {
	for len(rows) > 0 {
		columns := len(rows[0])
		some := rows[:min(len(rows), maxParameters/columns)]
		rows = rows[len(some):]
		tuples := make([]string, len(some))
		for i := range some {
			tuples[i] = "(" + placeholders(i*columns+1, columns) + ")"
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+into+" VALUES "+strings.Join(tuples, ", ")+" ON CONFLICT DO NOTHING", slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

// placeholders are n parameters, the first of them numbered so.
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// conditions gathers them and their parameters; ? in a condition is its parameter.
type conditions struct {
	texts []string
	args  []any
}

func (w *conditions) param(value any) string {
	w.args = append(w.args, value)
	return fmt.Sprintf("$%d", len(w.args))
}

func (w *conditions) add(condition string, values ...any) {
	for _, value := range values {
		condition = strings.Replace(condition, "?", w.param(value), 1)
	}
	w.texts = append(w.texts, condition)
}

// oneOf adds that column is one of values; none of them is no condition.
func oneOf[T any](w *conditions, column string, values []T) {
	if len(values) == 0 {
		return
	}
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = w.param(value)
	}
	w.texts = append(w.texts, column+" IN ("+strings.Join(list, ", ")+")")
}

func (w *conditions) String() string {
	if len(w.texts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.texts, " AND ")
}

// likePart is a LIKE pattern, with \ to escape, for texts with part in them.
func likePart(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(part)) + "%"
}

// inParts calls do for parts of list that fit into one statement.
func inParts[T any](list []T, do func([]T) error) error {
	for part := range slices.Chunk(list, maxParameters/2) {
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
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
