package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// User is a person who may log in.
type User struct {
	Name               string // in lower case
	Role               string // viewer, editor or admin
	PasswordHash       string
	External           bool
	Subject            string // of OIDC; empty until the first login
	Disabled           bool
	MustChangePassword bool
	CreateTime         time.Time
	LastLoginTime      time.Time
}

const userColumns = "name, role, password_hash, external, subject, disabled, must_change_password, create_time, last_login_time"

func scanUser(row scanner) (User, error) {
	var u User
	var subject sql.NullString
	var created, login int64
	err := row.Scan(&u.Name, &u.Role, &u.PasswordHash, &u.External, &subject, &u.Disabled, &u.MustChangePassword, &created, &login)
	u.Subject, u.CreateTime, u.LastLoginTime = subject.String, FromMicros(created), FromMicros(login)
	return u, err
}

func orNull(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// CreateUser returns ErrExists when the name is taken.
func (tx *Tx) CreateUser(ctx context.Context, u User) error {
	_, err := tx.Exec(ctx, "INSERT INTO users ("+userColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		u.Name, u.Role, u.PasswordHash, u.External, orNull(u.Subject), u.Disabled, u.MustChangePassword, Micros(u.CreateTime), Micros(u.LastLoginTime))
	if err != nil {
		return fmt.Errorf("user %q: %w", u.Name, translate(err))
	}
	return nil
}

// User returns ErrNotFound when there is none of that name.
func (tx *Tx) User(ctx context.Context, name string) (User, error) {
	u, err := scanUser(tx.QueryRow(ctx, "SELECT "+userColumns+" FROM users WHERE name = $1", name))
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", name, translate(err))
	}
	return u, nil
}

// UserBySubject returns ErrNotFound when nobody logged in with it yet.
func (tx *Tx) UserBySubject(ctx context.Context, subject string) (User, error) {
	u, err := scanUser(tx.QueryRow(ctx, "SELECT "+userColumns+" FROM users WHERE subject = $1", subject))
	if err != nil {
		return User{}, fmt.Errorf("user of subject %q: %w", subject, translate(err))
	}
	return u, nil
}

// Users returns all, by name.
func (tx *Tx) Users(ctx context.Context) ([]User, error) {
	return collect(ctx, tx, scanUser, "SELECT "+userColumns+" FROM users ORDER BY name")
}

// UpdateUser writes everything but the name and the time of creation.
func (tx *Tx) UpdateUser(ctx context.Context, u User) error {
	_, err := tx.Exec(ctx, `UPDATE users SET role = $2, password_hash = $3, external = $4, subject = $5, disabled = $6,
		must_change_password = $7, last_login_time = $8 WHERE name = $1`,
		u.Name, u.Role, u.PasswordHash, u.External, orNull(u.Subject), u.Disabled, u.MustChangePassword, Micros(u.LastLoginTime))
	return err
}

// DeleteUser removes the user with all sessions and tokens.
func (tx *Tx) DeleteUser(ctx context.Context, name string) error {
	_, err := tx.Exec(ctx, "DELETE FROM users WHERE name = $1", name)
	return err
}
