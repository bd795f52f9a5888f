package store

import (
	"context"
	"fmt"
	"time"
)

// Channel is who is told of new events, and how that goes.
type Channel struct {
	Name    string
	Enabled bool
	// Actions are those it is told of: 1 alert, 2 block, 3 both.
	Actions     int
	MinSeverity int
	Settings    string // JSON, without the secret
	Secret      string
	Revision    int64

	LastSuccess  time.Time
	LastError    string
	Failures     int64     // since the last success
	FailingSince time.Time // zero when there are none
	Next         time.Time // nothing is sent before
	Delivery     string    // ID of what is being sent; empty when nothing is
}

// wants tells whether the channel is told of the event. One without a severity always counts.
func (c Channel) wants(action, severity int) bool {
	return c.Actions&action != 0 && (severity == 0 || severity >= c.MinSeverity)
}

const channelColumns = "name, enabled, actions, min_severity, settings, secret, revision, last_success_time, last_error, failures, failing_since, next_time, delivery"

func scanChannel(row scanner) (Channel, error) {
	var c Channel
	var success, failing, next int64
	err := row.Scan(&c.Name, &c.Enabled, &c.Actions, &c.MinSeverity, &c.Settings, &c.Secret, &c.Revision, &success, &c.LastError, &c.Failures, &failing, &next, &c.Delivery)
	c.LastSuccess, c.FailingSince, c.Next = FromMicros(success), FromMicros(failing), FromMicros(next)
	return c, err
}

// PutChannel makes a channel or changes what an operator may change of it. What it could not be told
// before is tried again at once.
func (tx *Tx) PutChannel(ctx context.Context, c Channel) error {
	_, err := tx.Exec(ctx, "INSERT INTO notification_channels ("+channelColumns+`, lease_time)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', 0, 0, 0, '', 0)
		ON CONFLICT (name) DO UPDATE SET enabled = excluded.enabled, actions = excluded.actions, min_severity = excluded.min_severity,
		settings = excluded.settings, secret = excluded.secret, revision = excluded.revision, next_time = 0, failures = 0, failing_since = 0, last_error = ''`,
		c.Name, c.Enabled, c.Actions, c.MinSeverity, c.Settings, c.Secret, c.Revision)
	if err != nil || c.Enabled {
		return err
	}
	// Who switches a channel off does not want to hear later what happened meanwhile.
	if _, err := tx.Exec(ctx, "DELETE FROM notification_outbox WHERE channel = $1", c.Name); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE notification_channels SET delivery = '' WHERE name = $1", c.Name)
	return err
}

// Channel returns ErrNotFound when there is none of that name.
func (tx *Tx) Channel(ctx context.Context, name string) (Channel, error) {
	c, err := scanChannel(tx.QueryRow(ctx, "SELECT "+channelColumns+" FROM notification_channels WHERE name = $1", name))
	if err != nil {
		return Channel{}, fmt.Errorf("channel %q: %w", name, translate(err))
	}
	return c, nil
}

// Channels returns all, by name.
func (tx *Tx) Channels(ctx context.Context) ([]Channel, error) {
	return collect(ctx, tx, scanChannel, "SELECT "+channelColumns+" FROM notification_channels ORDER BY name")
}

// DeleteChannel deletes it and what it was not told yet.
func (tx *Tx) DeleteChannel(ctx context.Context, name string) error {
	_, err := tx.Exec(ctx, "DELETE FROM notification_channels WHERE name = $1", name)
	return err
}

// queueNotifications leaves word of new events for the channels that want it.
func (tx *Tx) queueNotifications(ctx context.Context, folds []*fold) error {
	channels, err := collect(ctx, tx, scanChannel, "SELECT "+channelColumns+" FROM notification_channels WHERE enabled ORDER BY name")
	if err != nil {
		return err
	}
	var rows [][]any
	for _, c := range channels {
		for _, f := range folds {
			if f.isNew && c.wants(f.Action, f.Severity) {
				rows = append(rows, []any{c.Name, f.id, false})
			}
		}
	}
	return tx.insert(ctx, "INSERT INTO notification_outbox (channel, event, sending)", rows, "")
}

// LeaseChannel picks a channel that has something to be told now and is not served by another replica,
// and keeps it for the caller until the given time. It returns ErrNotFound when there is none.
func (tx *Tx) LeaseChannel(ctx context.Context, now, until time.Time) (Channel, error) {
	c, err := scanChannel(tx.QueryRow(ctx, "UPDATE notification_channels SET lease_time = $2 WHERE name = (SELECT name FROM notification_channels c"+
		" WHERE enabled AND next_time <= $1 AND lease_time <= $1 AND EXISTS (SELECT 1 FROM notification_outbox o WHERE o.channel = c.name)"+
		" ORDER BY next_time, name LIMIT 1) RETURNING "+channelColumns, Micros(now), Micros(until)))
	return c, translate(err)
}

// Delivery is what a channel is told at once.
type Delivery struct {
	ID     string
	Total  int
	Groups []DeliveryGroup // at most limit, the most events first
	Events []Event         // at most limit, the newest first
}

// DeliveryGroup is how many new events one policy made.
type DeliveryGroup struct {
	Policy string
	Action int
	Events int
}

// BeginDelivery returns what the channel is to be told. What failed before is the same delivery again,
// with the same ID; else it is all that has gathered.
func (tx *Tx) BeginDelivery(ctx context.Context, c Channel, limit int) (Delivery, error) {
	if c.Delivery == "" {
		c.Delivery = NewID()
		if _, err := tx.Exec(ctx, "UPDATE notification_channels SET delivery = $2 WHERE name = $1", c.Name, c.Delivery); err != nil {
			return Delivery{}, err
		}
		if _, err := tx.Exec(ctx, "UPDATE notification_outbox SET sending = TRUE WHERE channel = $1", c.Name); err != nil {
			return Delivery{}, err
		}
	}
	d := Delivery{ID: c.Delivery}
	var err error
	d.Groups, err = collect(ctx, tx, func(row scanner) (g DeliveryGroup, err error) {
		err = row.Scan(&g.Policy, &g.Action, &g.Events)
		return g, err
	}, `SELECT k.policy, k.action, COUNT(*) FROM notification_outbox o JOIN events e ON e.id = o.event JOIN event_kinds k ON k.id = e.kind
		WHERE o.channel = $1 AND o.sending GROUP BY k.policy, k.action ORDER BY COUNT(*) DESC, k.policy, k.action`, c.Name)
	if err != nil {
		return Delivery{}, err
	}
	for _, g := range d.Groups {
		d.Total += g.Events
	}
	d.Groups = d.Groups[:min(len(d.Groups), limit)]
	d.Events, err = tx.events(ctx, `SELECT c.event FROM notification_outbox o JOIN event_counts c ON c.event = o.event
		WHERE o.channel = $1 AND o.sending ORDER BY c.last_time DESC, c.event DESC LIMIT $2`, EventOrder{}, []any{c.Name, limit})
	return d, err
}

// EndDelivery takes note that the channel took the delivery, or that nobody will try it again.
func (tx *Tx) EndDelivery(ctx context.Context, name, delivery string) error {
	_, err := tx.Exec(ctx, `DELETE FROM notification_outbox WHERE sending AND channel =
		(SELECT name FROM notification_channels WHERE name = $1 AND delivery = $2)`, name, delivery)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE notification_channels SET delivery = '' WHERE name = $1 AND delivery = $2", name, delivery)
	return err
}

// ReleaseChannel ends the lease and keeps how it went, unless the channel was changed meanwhile.
func (tx *Tx) ReleaseChannel(ctx context.Context, c Channel) error {
	_, err := tx.Exec(ctx, `UPDATE notification_channels SET lease_time = 0, last_success_time = $2, last_error = $3, failures = $4,
		failing_since = $5, next_time = $6 WHERE name = $1 AND revision = $7`,
		c.Name, Micros(c.LastSuccess), c.LastError, c.Failures, Micros(c.FailingSince), Micros(c.Next), c.Revision)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE notification_channels SET lease_time = 0 WHERE name = $1", c.Name)
	return err
}
