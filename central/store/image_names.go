package store

import (
	"context"
	"time"
)

// ImageName is one name that nodes have for an image.
type ImageName struct {
	Image string
	Names string // together with which others
	Kind  string // tag, digest or id
	Name  string
	Key   string // by which reports are found
}

func scanImageName(row scanner) (n ImageName, err error) {
	return n, row.Scan(&n.Image, &n.Names, &n.Kind, &n.Name, &n.Key)
}

// ImageNames returns the names of images that count, by image.
func (tx *Tx) ImageNames(ctx context.Context, ids []string) (map[string][]ImageName, error) {
	all := map[string][]ImageName{}
	return all, inChunks(ids, func(part []string) error {
		w := &conditions{}
		oneOf(w, "m.image_id", part)
		some, err := collect(ctx, tx, scanImageName, "SELECT m.image_id, m.names, m.kind, m.name, m.key FROM image_names m"+
			" JOIN images i ON i.id = m.image_id AND i.names = m.names"+w.String()+" ORDER BY m.image_id, m.kind, m.name", w.args...)
		for _, n := range some {
			all[n.Image] = append(all[n.Image], n)
		}
		return err
	})
}

// AllImageNames returns at most limit names of an image, some before others.
func (tx *Tx) AllImageNames(ctx context.Context, id, first string, limit int) ([]ImageName, error) {
	return collect(ctx, tx, scanImageName, `SELECT image_id, names, kind, name, key FROM image_names
		WHERE image_id = $1 ORDER BY CASE WHEN names = $2 THEN 0 ELSE 1 END, names, kind, name LIMIT $3`, id, first, limit)
}

// AddImageNames keeps names that were not known.
func (tx *Tx) AddImageNames(ctx context.Context, names []ImageName) error {
	rows := make([][]any, len(names))
	for i, n := range names {
		rows[i] = []any{n.Image, n.Names, n.Kind, n.Name, n.Key}
	}
	return tx.insertNew(ctx, "image_names (image_id, names, kind, name, key)", rows)
}

// NamesOfImages returns the hashes of the names that there are of images, by image.
func (tx *Tx) NamesOfImages(ctx context.Context, ids []string) (map[string][]string, error) {
	all := map[string][]string{}
	return all, inChunks(ids, func(part []string) error {
		w := &conditions{}
		w.add("kind = 'id'") // which is always one of them
		oneOf(w, "image_id", part)
		some, err := collect(ctx, tx, func(row scanner) (n ImageName, err error) { return n, row.Scan(&n.Image, &n.Names) },
			"SELECT image_id, names FROM image_names"+w.String()+" ORDER BY image_id, names", w.args...)
		for _, n := range some {
			all[n.Image] = append(all[n.Image], n.Names)
		}
		return err
	})
}

// CountHolders counts the nodes that have names for an image, as far as limit.
func (tx *Tx) CountHolders(ctx context.Context, id, names string, limit int) (n int, err error) {
	return n, tx.QueryRow(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM node_images WHERE image_id = $1 AND names = $2 LIMIT $3) held", id, names, limit).Scan(&n)
}

// DeleteImageNames forgets names that nodes had for an image.
func (tx *Tx) DeleteImageNames(ctx context.Context, id, names string) error {
	_, err := tx.Exec(ctx, "DELETE FROM image_names WHERE image_id = $1 AND names = $2", id, names)
	return err
}

// SetImageNames changes which names of an image count, and what a search of it looks at.
func (tx *Tx) SetImageNames(ctx context.Context, id, names, search string) error {
	_, err := tx.Exec(ctx, "UPDATE images SET names = $2, search = $3 WHERE id = $1", id, names, search)
	return err
}

// CountNodeNames counts the names that a node has for its images.
func (tx *Tx) CountNodeNames(ctx context.Context, node string) (n int, err error) {
	return n, tx.QueryRow(ctx, "SELECT COUNT(*) FROM node_images p JOIN image_names m ON m.image_id = p.image_id AND m.names = p.names WHERE p.node_id = $1", node).Scan(&n)
}

// ImagesByKeys returns the IDs of images with any of the keys.
func (tx *Tx) ImagesByKeys(ctx context.Context, keys []string) (ids []string, err error) {
	return ids, inChunks(keys, func(part []string) error {
		w := &conditions{}
		oneOf(w, "key", part)
		some, err := collect(ctx, tx, scanText, "SELECT DISTINCT image_id FROM image_names"+w.String(), w.args...)
		ids = append(ids, some...)
		return err
	})
}

// NodeImages returns the IDs of the images that a node has.
func (tx *Tx) NodeImages(ctx context.Context, node string) ([]string, error) {
	return collect(ctx, tx, scanText, "SELECT image_id FROM node_images WHERE node_id = $1", node)
}

// NamedImages returns the images that a node has, and which names it has for them.
func (tx *Tx) NamedImages(ctx context.Context, node string) (map[string]string, error) {
	present := map[string]string{}
	return present, eachRow(ctx, tx, func(row scanner) (n ImageName, err error) { return n, row.Scan(&n.Image, &n.Names) },
		func(n ImageName) error { present[n.Image] = n.Names; return nil },
		"SELECT image_id, names FROM node_images WHERE node_id = $1", node)
}

// AddNodeImages notes that a node has images by names, which are known.
func (tx *Tx) AddNodeImages(ctx context.Context, node string, names map[string]string) error {
	rows := make([][]any, 0, len(names))
	for id, hash := range names {
		rows = append(rows, []any{node, id, hash})
	}
	return tx.insert(ctx, "INSERT INTO node_images (node_id, image_id, names)", rows, "ON CONFLICT (node_id, image_id) DO UPDATE SET names = excluded.names")
}

// RemoveNodeImages notes that a node does not have images any more.
func (tx *Tx) RemoveNodeImages(ctx context.Context, node string, ids []string, now time.Time) error {
	return inChunks(ids, func(part []string) error {
		seen := &conditions{}
		set := "UPDATE images SET last_seen_time = " + seen.param(Micros(now))
		oneOf(seen, "id", part)
		if _, err := tx.Exec(ctx, set+seen.String(), seen.args...); err != nil {
			return err
		}
		w := &conditions{}
		w.add("node_id = ?", node)
		oneOf(w, "image_id", part)
		_, err := tx.Exec(ctx, "DELETE FROM node_images"+w.String(), w.args...)
		return err
	})
}
