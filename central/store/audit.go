package store

import (
	"context"
	"time"
)

// AuditEntry is one change: who made it, and what it changed.
type AuditEntry struct {
	ID      string
	Time    time.Time
	Actor   string
	Address string
	Method  string
	Kind    string
	Name    string
	Before  string // JSON; empty for what was created
	After   string // JSON; empty for what was deleted
}

// AuditFilter narrows the audit log; what is empty does not.
type AuditFilter struct {
	Actor, Kind, Name string
	From, To          time.Time
}

const auditColumns = "id, time, actor, address, method, kind, name, before, after"

func scanAudit(row scanner) (AuditEntry, error) {
	var e AuditEntry
	var micros int64
	err := row.Scan(&e.ID, &micros, &e.Actor, &e.Address, &e.Method, &e.Kind, &e.Name, &e.Before, &e.After)
	e.Time = FromMicros(micros)
	return e, err
}

// AddAudit writes an entry.
func (tx *Tx) AddAudit(ctx context.Context, e AuditEntry) error {
	_, err := tx.Exec(ctx, "INSERT INTO audit ("+auditColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		e.ID, Micros(e.Time), e.Actor, e.Address, e.Method, e.Kind, e.Name, e.Before, e.After)
	return err
}

// Audit returns at most limit entries, the newest first, that are older than the one with the ID
// before, where that is not empty.
func (tx *Tx) Audit(ctx context.Context, f AuditFilter, before string, limit int) ([]AuditEntry, error) {
	return collect(ctx, tx, scanAudit, "SELECT "+auditColumns+` FROM audit
		WHERE ($1 = '' OR actor = $1) AND ($2 = '' OR kind = $2) AND ($3 = '' OR name = $3)
		AND (CAST($4 AS BIGINT) = 0 OR time >= $4) AND (CAST($5 AS BIGINT) = 0 OR time < $5) AND ($6 = '' OR id < $6)
		ORDER BY id DESC LIMIT $7`,
		f.Actor, f.Kind, f.Name, Micros(f.From), Micros(f.To), before, limit)
}

// SweepAudit deletes some of the entries from before a time, and says whether there is more.
func (s *Store) SweepAudit(ctx context.Context, before time.Time) (more bool, err error) {
	err = s.run(ctx, s.write, s.dialect.waiting(), func(tx *Tx) error {
		deleted, err := tx.Exec(ctx, "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE time < $1 ORDER BY time LIMIT $2)", Micros(before), sweepBatch)
		more = deleted == sweepBatch
		return err
	})
	return more, err
}
