package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Start is containers that were let start on one day and are the same for every policy.
type Start struct {
	Day       time.Time // its first moment, UTC
	NodeID    string    // the last
	Cluster   string
	Namespace string
	Pod       string // an example
	Container string
	Image     string
	ImageID   string
	Asks      []StartAsk
	Count     int64
	LastTime  time.Time
}

// StartAsk is a privileged parameter that was asked for.
type StartAsk struct {
	Parameter string `json:"parameter"`
	Detail    string `json:"detail,omitempty"`
}

// Key is the same for starts that are folded into one.
func (s *Start) Key() string {
	asks, _ := json.Marshal(s.Asks) // strings always can be
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Cluster, s.Namespace, s.Container, s.ImageID, string(asks)}, "\x00")))
	return hex.EncodeToString(sum[:])
}

const day = 24 * time.Hour

func dayNumber(t time.Time) int64 { return t.Unix() / int64(day/time.Second) }

// AddStarts counts starts. Of a day that has most folds already, new ones are left out.
func (tx *Tx) AddStarts(ctx context.Context, starts []Start, most int64) error {
	room := map[int64]int64{}
	for i := range starts {
		s := &starts[i]
		number := dayNumber(s.Day)
		key := s.Key()
		changed, err := tx.Exec(ctx, `UPDATE starts SET count = count + $3, node_id = $4, pod = $5, image = $6,
			last_time = CASE WHEN last_time < $7 THEN $7 ELSE last_time END WHERE day = $1 AND hash = $2`,
			number, key, s.Count, s.NodeID, s.Pod, s.Image, Micros(s.LastTime))
		if err != nil {
			return err
		}
		if changed > 0 {
			continue
		}
		left, known := room[number]
		if !known {
			var have int64
			if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM starts WHERE day = $1", number).Scan(&have); err != nil {
				return err
			}
			left = most - have
		}
		room[number] = left - 1
		if left <= 0 {
			continue
		}
		asks, _ := json.Marshal(s.Asks) // strings always can be
		_, err = tx.Exec(ctx, `INSERT INTO starts (day, hash, node_id, cluster, namespace, pod, container, image, image_id, asks, count, last_time)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			number, key, s.NodeID, s.Cluster, s.Namespace, s.Pod, s.Container, s.Image, s.ImageID, string(asks), s.Count, Micros(s.LastTime))
		if err != nil {
			return err
		}
	}
	return nil
}

func scanStart(row scanner) (Start, error) {
	var s Start
	var number, last int64
	var asks string
	err := row.Scan(&number, &s.NodeID, &s.Cluster, &s.Namespace, &s.Pod, &s.Container, &s.Image, &s.ImageID, &asks, &s.Count, &last)
	if err != nil {
		return s, err
	}
	s.Day, s.LastTime = time.Unix(number*int64(day/time.Second), 0).UTC(), FromMicros(last)
	return s, json.Unmarshal([]byte(asks), &s.Asks)
}

// EachStart hands on the starts since a moment's day, by image, the newest day first.
func (tx *Tx) EachStart(ctx context.Context, since time.Time, do func(Start) error) error {
	return eachRow(ctx, tx, scanStart, do, `SELECT day, node_id, cluster, namespace, pod, container, image, image_id, asks, count, last_time
		FROM starts WHERE day >= $1 ORDER BY image_id, day DESC, hash`, dayNumber(since))
}

// DeleteOldStarts forgets those of days before a moment's.
func (tx *Tx) DeleteOldStarts(ctx context.Context, before time.Time) error {
	_, err := tx.Exec(ctx, "DELETE FROM starts WHERE day < $1", dayNumber(before))
	return err
}
