package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// BundlesTopic is notified of every new bundle, by its number.
const BundlesTopic = "bundles"

// keptBundles is how many of the newest bundles there are.
const keptBundles = 100

// Bundle is what nodes enforce: an immutable snapshot of all documents.
type Bundle struct {
	Number     int64
	Documents  string // YAML; empty when there are no documents
	CreateTime time.Time
}

// AddBundle writes the next bundle and tells BundlesTopic.
func (tx *Tx) AddBundle(ctx context.Context, documents string, now time.Time) (Bundle, error) {
	b := Bundle{Documents: documents, CreateTime: now}
	compressed, err := compress(documents)
	if err != nil {
		return Bundle{}, err
	}
	if err := tx.QueryRow(ctx, "SELECT COALESCE(MAX(number), 0) + 1 FROM bundles").Scan(&b.Number); err != nil {
		return Bundle{}, err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO bundles (number, documents, create_time) VALUES ($1, $2, $3)", b.Number, compressed, Micros(now)); err != nil {
		return Bundle{}, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM bundles WHERE number <= $1", b.Number-keptBundles); err != nil {
		return Bundle{}, err
	}
	tx.Notify(BundlesTopic, strconv.FormatInt(b.Number, 10))
	return b, nil
}

// NewestBundle returns ErrNotFound before the first.
func (tx *Tx) NewestBundle(ctx context.Context) (Bundle, error) {
	var b Bundle
	var compressed []byte
	var created int64
	err := tx.QueryRow(ctx, "SELECT number, documents, create_time FROM bundles ORDER BY number DESC LIMIT 1").Scan(&b.Number, &compressed, &created)
	if err != nil {
		return Bundle{}, fmt.Errorf("bundle: %w", translate(err))
	}
	b.CreateTime = FromMicros(created)
	if b.Documents, err = decompress(compressed); err != nil {
		return Bundle{}, fmt.Errorf("bundle %d: %w", b.Number, err)
	}
	return b, nil
}

func compress(text string) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func decompress(data []byte) (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r) // what AddBundle wrote
	return string(text), err
}
