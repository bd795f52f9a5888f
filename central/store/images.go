package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Image is an image that nodes have or had, and what is known of it in short.
type Image struct {
	ID           string
	Platform     string
	Names        string // which of its names count
	Search       string // ID and names in lower case
	LastSeenTime time.Time
	ImageSummary
}

// ImageSummary is what the reports about an image say, in short.
type ImageSummary struct {
	ScanState       int64 // ScanState of the API
	Scanned         []string
	ScanTime        time.Time
	Scanner         string
	Worst           int64 // severity, NoSeverity where nothing was found
	Vulnerabilities int64
	Malware         int64
	Secrets         int64
}

// NoSeverity is the worst severity where nothing was found.
const NoSeverity = -1

const imageColumns = "i.id, i.platform, i.names, i.search, i.scan_state, i.scanned, i.scan_time, i.scanner, i.worst, i.vulnerabilities, i.malware, i.secrets, i.last_seen_time"

func scanImage(row scanner) (Image, error) {
	var i Image
	var scanned string
	var at, seen int64
	err := row.Scan(&i.ID, &i.Platform, &i.Names, &i.Search, &i.ScanState, &scanned, &at, &i.Scanner, &i.Worst, &i.Vulnerabilities, &i.Malware, &i.Secrets, &seen)
	if err != nil {
		return i, err
	}
	i.ScanTime, i.LastSeenTime = FromMicros(at), FromMicros(seen)
	return i, json.Unmarshal([]byte(scanned), &i.Scanned)
}

// AddImages keeps images that were not known, as unscanned.
func (tx *Tx) AddImages(ctx context.Context, images []Image) error {
	rows := make([][]any, len(images))
	for n, i := range images {
		rows[n] = []any{i.ID, i.Platform, i.Names, i.Search, i.ScanState, "[]", 0, "", NoSeverity, 0, 0, 0, Micros(i.LastSeenTime)}
	}
	return tx.insertNew(ctx, "images (id, platform, names, search, scan_state, scanned, scan_time, scanner, worst, vulnerabilities, malware, secrets, last_seen_time)", rows)
}

// Images returns those of the IDs that are known.
func (tx *Tx) Images(ctx context.Context, ids []string) (found []Image, err error) {
	return found, inChunks(ids, func(part []string) error {
		w := &conditions{}
		oneOf(w, "i.id", part)
		some, err := collect(ctx, tx, scanImage, "SELECT "+imageColumns+" FROM images i"+w.String(), w.args...)
		found = append(found, some...)
		return err
	})
}

// Image returns ErrNotFound when there is none of that ID.
func (tx *Tx) Image(ctx context.Context, id string) (Image, error) {
	i, err := scanImage(tx.QueryRow(ctx, "SELECT "+imageColumns+" FROM images i WHERE i.id = $1", id))
	if err != nil {
		return Image{}, fmt.Errorf("image %q: %w", id, translate(err))
	}
	return i, nil
}

// Summarise changes what is known of an image in short.
func (tx *Tx) Summarise(ctx context.Context, id string, s ImageSummary) error {
	_, err := tx.Exec(ctx, `UPDATE images SET scan_state = $2, scanned = $3, scan_time = $4, scanner = $5, worst = $6, vulnerabilities = $7,
		malware = $8, secrets = $9 WHERE id = $1`,
		id, s.ScanState, encodeList(s.Scanned), Micros(s.ScanTime), s.Scanner, s.Worst, s.Vulnerabilities, s.Malware, s.Secrets)
	return err
}

// ImageFilter narrows a list of images; what is empty does not.
type ImageFilter struct {
	Search  string // part of the ID or of a name, in any case
	States  []int64
	Worst   []int64
	Node    string // ID or name
	Present bool
}

func (w *conditions) images(f *ImageFilter) {
	w.contains("i.search", f.Search)
	oneOf(w, "i.scan_state", f.States)
	oneOf(w, "i.worst", f.Worst)
	if f.Present {
		w.add("EXISTS (SELECT 1 FROM node_images p WHERE p.image_id = i.id)")
	}
	if f.Node != "" {
		w.add("i.id IN (SELECT p.image_id FROM node_images p JOIN nodes n ON n.id = p.node_id WHERE n.id = ? OR n.name = ?)", f.Node, f.Node)
	}
}

// ListImages returns at most limit images, the worst first, then by ID, that come after one.
func (tx *Tx) ListImages(ctx context.Context, f ImageFilter, after *Image, limit int) ([]Image, error) {
	w := &conditions{}
	w.images(&f)
	if after != nil {
		w.add("(i.worst < ? OR i.worst = ? AND i.id > ?)", after.Worst, after.Worst, after.ID)
	}
	return collect(ctx, tx, scanImage, "SELECT "+imageColumns+" FROM images i"+w.String()+" ORDER BY i.worst DESC, i.id LIMIT "+w.param(limit), w.args...)
}

// CountImages counts those of the filter.
func (tx *Tx) CountImages(ctx context.Context, f ImageFilter) (total int64, err error) {
	w := &conditions{}
	w.images(&f)
	return total, tx.QueryRow(ctx, "SELECT COUNT(*) FROM images i"+w.String(), w.args...).Scan(&total)
}

// CountScanned counts all images, those that are in a state, and those of the rest whose worst finding is at
// least so severe.
func (tx *Tx) CountScanned(ctx context.Context, unscanned, severe int64) (total, without, risky int64, err error) {
	err = tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN scan_state = $1 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN scan_state <> $1 AND worst >= $2 THEN 1 ELSE 0 END), 0) FROM images`, unscanned, severe).Scan(&total, &without, &risky)
	return total, without, risky, err
}

// WhereImage returns how many nodes have the image, the names of the first, and the last contact of any.
func (tx *Tx) WhereImage(ctx context.Context, id string, most int) (count int64, names []string, contact time.Time, err error) {
	var last int64
	err = tx.QueryRow(ctx, "SELECT COUNT(*), COALESCE(MAX(n.last_contact_time), 0) FROM node_images p JOIN nodes n ON n.id = p.node_id WHERE p.image_id = $1", id).Scan(&count, &last)
	if err != nil {
		return 0, nil, time.Time{}, err
	}
	names, err = collect(ctx, tx, scanText, "SELECT n.name FROM node_images p JOIN nodes n ON n.id = p.node_id WHERE p.image_id = $1 ORDER BY n.name LIMIT $2", id, most)
	return count, names, FromMicros(last), err
}

// DeleteOldImages forgets images that no node has had since a moment.
func (tx *Tx) DeleteOldImages(ctx context.Context, before time.Time) error {
	_, err := tx.Exec(ctx, "DELETE FROM images WHERE last_seen_time < $1 AND NOT EXISTS (SELECT 1 FROM node_images p WHERE p.image_id = images.id)", Micros(before))
	return err
}

// PresentImages returns at most limit images that some node has, by ID, after one.
func (tx *Tx) PresentImages(ctx context.Context, after string, limit int) ([]Image, error) {
	return collect(ctx, tx, scanImage, "SELECT "+imageColumns+` FROM images i
		WHERE i.id > $1 AND EXISTS (SELECT 1 FROM node_images p WHERE p.image_id = i.id) ORDER BY i.id LIMIT $2`, after, limit)
}

// NodeName is how people know a node.
type NodeName struct{ Name, Cluster string }

// NodesOfImage returns the nodes that have the image, by name.
func (tx *Tx) NodesOfImage(ctx context.Context, id string) ([]NodeName, error) {
	return collect(ctx, tx, func(row scanner) (n NodeName, err error) { return n, row.Scan(&n.Name, &n.Cluster) },
		"SELECT n.name, n.cluster FROM node_images p JOIN nodes n ON n.id = p.node_id WHERE p.image_id = $1 ORDER BY n.name, n.cluster", id)
}
