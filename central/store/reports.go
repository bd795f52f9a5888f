package store

import (
	"context"
	"fmt"
	"time"
)

// Report is what one scan said of one image.
type Report struct {
	ID         string
	Hash       string // of what was uploaded
	Format     string
	Scanner    string
	About      string // JSON: how it names its image
	ScanTime   time.Time
	Scanned    string // JSON: the kinds that it looked for
	Broken     string // why it is not all that there is
	UploadTime time.Time
	UploadedBy string
	Size       int64
}

const reportColumns = "r.id, r.hash, r.format, r.scanner, r.about, r.scan_time, r.scanned, r.broken, r.upload_time, r.uploaded_by, r.size"

func scanReport(row scanner) (Report, error) {
	var r Report
	var scanned, uploaded int64
	err := row.Scan(&r.ID, &r.Hash, &r.Format, &r.Scanner, &r.About, &scanned, &r.Scanned, &r.Broken, &uploaded, &r.UploadedBy, &r.Size)
	r.ScanTime, r.UploadTime = FromMicros(scanned), FromMicros(uploaded)
	return r, err
}

// CreateReport keeps a report under the keys by which images find it.
func (tx *Tx) CreateReport(ctx context.Context, r Report, verdict []byte, keys []string) error {
	_, err := tx.Exec(ctx, `INSERT INTO reports (id, hash, format, scanner, about, scan_time, scanned, broken, upload_time, uploaded_by, size, verdict)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		r.ID, r.Hash, r.Format, r.Scanner, r.About, Micros(r.ScanTime), r.Scanned, r.Broken, Micros(r.UploadTime), r.UploadedBy, r.Size, verdict)
	if err != nil {
		return err
	}
	rows := make([][]any, len(keys))
	for i, key := range keys {
		rows[i] = []any{key, r.ID}
	}
	return tx.insertNew(ctx, "report_keys (key, report_id)", rows)
}

// Report returns ErrNotFound when there is none of that ID.
func (tx *Tx) Report(ctx context.Context, id string) (Report, error) {
	r, err := scanReport(tx.QueryRow(ctx, "SELECT "+reportColumns+" FROM reports r WHERE r.id = $1", id))
	if err != nil {
		return Report{}, fmt.Errorf("report %q: %w", id, translate(err))
	}
	return r, nil
}

// ReportByHash returns ErrNotFound when nothing of that hash was uploaded.
func (tx *Tx) ReportByHash(ctx context.Context, hash string) (Report, error) {
	r, err := scanReport(tx.QueryRow(ctx, "SELECT "+reportColumns+" FROM reports r WHERE r.hash = $1", hash))
	if err != nil {
		return Report{}, fmt.Errorf("report: %w", translate(err))
	}
	return r, nil
}

// ReportVerdict returns what a report found, as it was given to CreateReport.
func (tx *Tx) ReportVerdict(ctx context.Context, id string) (verdict []byte, err error) {
	if err := tx.QueryRow(ctx, "SELECT verdict FROM reports WHERE id = $1", id).Scan(&verdict); err != nil {
		return nil, fmt.Errorf("report %q: %w", id, translate(err))
	}
	return verdict, nil
}

// ReportKeys are those under which a report is kept.
func (tx *Tx) ReportKeys(ctx context.Context, id string) ([]string, error) {
	return collect(ctx, tx, scanText, "SELECT key FROM report_keys WHERE report_id = $1 ORDER BY key", id)
}

// Superseded returns the IDs of older reports of the scanner that name their image in the same way, but for
// the newest few.
func (tx *Tx) Superseded(ctx context.Context, format, scannerName, about string, keep int) ([]string, error) {
	return collect(ctx, tx, scanText, `SELECT id FROM reports WHERE format = $1 AND scanner = $2 AND about = $3
		ORDER BY scan_time DESC, id DESC LIMIT 100 OFFSET $4`, format, scannerName, about, keep)
}

// DeleteReport forgets a report.
func (tx *Tx) DeleteReport(ctx context.Context, id string) error {
	_, err := tx.Exec(ctx, "DELETE FROM reports WHERE id = $1", id)
	return err
}

// KeyedReport is a report and one key under which it was found.
type KeyedReport struct {
	Key string
	Report
}

// ReportsByKeys returns the reports under any of the keys, once for each key.
func (tx *Tx) ReportsByKeys(ctx context.Context, keys []string) (found []KeyedReport, err error) {
	return found, inChunks(keys, func(part []string) error {
		w := &conditions{}
		oneOf(w, "k.key", part)
		some, err := collect(ctx, tx, scanKeyedReport, "SELECT k.key, "+reportColumns+" FROM report_keys k JOIN reports r ON r.id = k.report_id"+w.String(), w.args...)
		found = append(found, some...)
		return err
	})
}

func scanKeyedReport(row scanner) (KeyedReport, error) {
	var k KeyedReport
	var scanned, uploaded int64
	r := &k.Report
	err := row.Scan(&k.Key, &r.ID, &r.Hash, &r.Format, &r.Scanner, &r.About, &scanned, &r.Scanned, &r.Broken, &uploaded, &r.UploadedBy, &r.Size)
	r.ScanTime, r.UploadTime = FromMicros(scanned), FromMicros(uploaded)
	return k, err
}

// changesKept bounds the changes that are remembered; a node that missed more asks for everything again.
const changesKept = 20_000

// ChangeVerdicts notes that verdicts of images with any of the keys may have changed, and tells all replicas.
func (tx *Tx) ChangeVerdicts(ctx context.Context, keys []string) error {
	if _, err := tx.Exec(ctx, "UPDATE verdict_number SET number = number + 1"); err != nil {
		return err
	}
	number, oldest, err := tx.VerdictNumber(ctx)
	if err != nil {
		return err
	}
	rows := make([][]any, len(keys))
	for i, key := range keys {
		rows[i] = []any{number, key}
	}
	if err := tx.insertNew(ctx, "verdict_changes (number, key)", rows); err != nil {
		return err
	}
	if number-changesKept > oldest {
		if _, err := tx.Exec(ctx, "UPDATE verdict_number SET oldest = $1", number-changesKept); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM verdict_changes WHERE number < $1", number-changesKept); err != nil {
			return err
		}
	}
	tx.Notify(VerdictsTopic, fmt.Sprint(number))
	return nil
}

// VerdictNumber is of the last change, and of the oldest that is remembered.
func (tx *Tx) VerdictNumber(ctx context.Context) (number, oldest int64, err error) {
	return number, oldest, tx.QueryRow(ctx, "SELECT number, oldest FROM verdict_number").Scan(&number, &oldest)
}

// NodeImage is an image that a node has.
type NodeImage struct{ Node, Image string }

func scanNodeImage(row scanner) (n NodeImage, err error) { return n, row.Scan(&n.Node, &n.Image) }

const changedImages = `SELECT DISTINCT i.node_id, i.image_id FROM verdict_changes c
	JOIN image_names m ON m.key = c.key JOIN node_images i ON i.image_id = m.image_id AND i.names = m.names WHERE c.number > $1`

// ChangedImages returns which images of which nodes changed after a number.
func (tx *Tx) ChangedImages(ctx context.Context, after int64) ([]NodeImage, error) {
	return collect(ctx, tx, scanNodeImage, changedImages, after)
}

// ChangedImagesOf returns which images of a node changed after a number.
func (tx *Tx) ChangedImagesOf(ctx context.Context, node string, after int64) ([]NodeImage, error) {
	return collect(ctx, tx, scanNodeImage, changedImages+" AND i.node_id = $2", after, node)
}
