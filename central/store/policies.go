package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Document is a policy or an exemption.
type Document struct {
	Kind     string // ImagePolicy or Exemption
	Name     string
	Text     string // YAML
	Content  string // the same as JSON
	Enforced string // Text with what central adds for nodes; empty where that is nothing
	Search   string // what DocumentFilter.Search looks in, in lower case

	// Of a policy.
	Template       string
	Enabled        bool
	ObservingSince time.Time // zero where it does not observe, like EnforceAt
	EnforceAt      time.Time

	Expires time.Time // of an exemption

	Revision   int64
	CreateTime time.Time
	UpdateTime time.Time
	UpdatedBy  string
}

const documentColumns = "kind, name, text, content, enforced, search, template, enabled, observing_since, enforce_at, expire_time, revision, create_time, update_time, updated_by"

func scanDocument(row scanner) (Document, error) {
	var d Document
	var since, enforce, expires, created, updated int64
	err := row.Scan(&d.Kind, &d.Name, &d.Text, &d.Content, &d.Enforced, &d.Search, &d.Template, &d.Enabled, &since, &enforce, &expires,
		&d.Revision, &created, &updated, &d.UpdatedBy)
	d.ObservingSince, d.EnforceAt, d.Expires = FromMicros(since), FromMicros(enforce), FromMicros(expires)
	d.CreateTime, d.UpdateTime = FromMicros(created), FromMicros(updated)
	return d, err
}

// LockDocuments makes transactions that change documents wait for each other. It comes first in a
// transaction: PostgreSQL would otherwise let them run at the same time and then refuse all but one.
func (tx *Tx) LockDocuments(ctx context.Context) error {
	if tx.dialect == sqlite {
		return nil
	}
	_, err := tx.Exec(ctx, "LOCK TABLE documents IN SHARE ROW EXCLUSIVE MODE")
	return err
}

// Documents returns all of a kind, by name.
func (tx *Tx) Documents(ctx context.Context, kind string) ([]Document, error) {
	return collect(ctx, tx, scanDocument, "SELECT "+documentColumns+" FROM documents WHERE kind = $1 ORDER BY name", kind)
}

// Document returns ErrNotFound when there is none of that kind and name.
func (tx *Tx) Document(ctx context.Context, kind, name string) (Document, error) {
	d, err := scanDocument(tx.QueryRow(ctx, "SELECT "+documentColumns+" FROM documents WHERE kind = $1 AND name = $2", kind, name))
	if err != nil {
		return Document{}, fmt.Errorf("%s %q: %w", kind, name, translate(err))
	}
	return d, nil
}

// PutDocument writes a document, in the place of the one that has its kind and name.
func (tx *Tx) PutDocument(ctx context.Context, d Document) error {
	_, err := tx.Exec(ctx, "INSERT INTO documents ("+documentColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (kind, name) DO UPDATE SET text = excluded.text, content = excluded.content, enforced = excluded.enforced,
		search = excluded.search, template = excluded.template, enabled = excluded.enabled, observing_since = excluded.observing_since,
		enforce_at = excluded.enforce_at, expire_time = excluded.expire_time, revision = excluded.revision,
		create_time = excluded.create_time, update_time = excluded.update_time, updated_by = excluded.updated_by`,
		d.Kind, d.Name, d.Text, d.Content, d.Enforced, d.Search, d.Template, d.Enabled, Micros(d.ObservingSince), Micros(d.EnforceAt),
		Micros(d.Expires), d.Revision, Micros(d.CreateTime), Micros(d.UpdateTime), d.UpdatedBy)
	return err
}

// DeleteDocument removes a document; its revisions stay.
func (tx *Tx) DeleteDocument(ctx context.Context, kind, name string) error {
	_, err := tx.Exec(ctx, "DELETE FROM documents WHERE kind = $1 AND name = $2", kind, name)
	return err
}

// DocumentFilter narrows a list of documents of one kind; what is empty does not.
type DocumentFilter struct {
	Kind     string
	Search   string // part of Document.Search
	Template string
	// Which states, as they are at Now.
	Disabled, Observing, Blocking bool
	Active, Expiring, Expired     bool
	Now                           time.Time
	Soon                          time.Time // until then what expires is Expiring
}

const documentWhere = ` WHERE kind = $1 AND ($2 = '' OR search LIKE $3 ESCAPE '!') AND ($4 = '' OR template = $4)
	AND ($5 AND NOT enabled OR $6 AND enabled AND enforce_at > $8 OR $7 AND enabled AND enforce_at <= $8)
	AND ($9 OR $10 AND expire_time > $13 OR $11 AND expire_time > $8 AND expire_time <= $13 OR $12 AND expire_time <= $8)`

func (f DocumentFilter) arguments() []any {
	all := !f.Disabled && !f.Observing && !f.Blocking
	search := strings.ToLower(f.Search)
	return []any{f.Kind, search, "%" + likeEscaper.Replace(search) + "%", f.Template, f.Disabled || all, f.Observing || all, f.Blocking || all, Micros(f.Now),
		!f.Active && !f.Expiring && !f.Expired, f.Active, f.Expiring, f.Expired, Micros(f.Soon)}
}

// ListDocuments returns at most limit documents whose name comes after the one given, by name.
func (tx *Tx) ListDocuments(ctx context.Context, f DocumentFilter, after string, limit int) ([]Document, error) {
	return collect(ctx, tx, scanDocument, "SELECT "+documentColumns+" FROM documents"+documentWhere+" AND name > $14 ORDER BY name LIMIT $15",
		append(f.arguments(), after, limit)...)
}

// CountDocuments returns how many there are.
func (tx *Tx) CountDocuments(ctx context.Context, f DocumentFilter) (n int64, err error) {
	err = tx.QueryRow(ctx, "SELECT COUNT(*) FROM documents"+documentWhere, f.arguments()...).Scan(&n)
	return n, err
}

// EndingObservations returns at most limit policies that will block by themselves after from and not
// after to, the soonest first.
func (tx *Tx) EndingObservations(ctx context.Context, from, to time.Time, limit int) ([]Document, error) {
	return collect(ctx, tx, scanDocument, "SELECT "+documentColumns+` FROM documents
		WHERE enabled AND enforce_at > $1 AND enforce_at <= $2 ORDER BY enforce_at, name LIMIT $3`, Micros(from), Micros(to), limit)
}

// ExpiringExemptions returns at most limit exemptions that expire after from and not after to, the
// soonest first.
func (tx *Tx) ExpiringExemptions(ctx context.Context, from, to time.Time, limit int) ([]Document, error) {
	return collect(ctx, tx, scanDocument, "SELECT "+documentColumns+` FROM documents
		WHERE expire_time > $1 AND expire_time <= $2 ORDER BY expire_time, name LIMIT $3`, Micros(from), Micros(to), limit)
}

// DocumentRevision is one change of a document.
type DocumentRevision struct {
	Kind     string
	Name     string
	Revision int64
	Text     string // empty where it was deleted
	Time     time.Time
	Author   string
}

const revisionColumns = "kind, name, revision, text, time, author"

func scanRevision(row scanner) (DocumentRevision, error) {
	var r DocumentRevision
	var micros int64
	err := row.Scan(&r.Kind, &r.Name, &r.Revision, &r.Text, &micros, &r.Author)
	r.Time = FromMicros(micros)
	return r, err
}

// AddDocumentRevision writes a change.
func (tx *Tx) AddDocumentRevision(ctx context.Context, r DocumentRevision) error {
	_, err := tx.Exec(ctx, "INSERT INTO document_revisions ("+revisionColumns+") VALUES ($1, $2, $3, $4, $5, $6)",
		r.Kind, r.Name, r.Revision, r.Text, Micros(r.Time), r.Author)
	return err
}

// LastDocumentRevision returns 0 for a name that was never used.
func (tx *Tx) LastDocumentRevision(ctx context.Context, kind, name string) (revision int64, err error) {
	err = tx.QueryRow(ctx, "SELECT COALESCE(MAX(revision), 0) FROM document_revisions WHERE kind = $1 AND name = $2", kind, name).Scan(&revision)
	return revision, err
}

// DocumentRevisions returns at most limit changes, the newest first, that are older than before, where
// that is not 0.
func (tx *Tx) DocumentRevisions(ctx context.Context, kind, name string, before int64, limit int) ([]DocumentRevision, error) {
	return collect(ctx, tx, scanRevision, "SELECT "+revisionColumns+` FROM document_revisions
		WHERE kind = $1 AND name = $2 AND (CAST($3 AS BIGINT) = 0 OR revision < $3) ORDER BY revision DESC LIMIT $4`, kind, name, before, limit)
}
