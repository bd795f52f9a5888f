package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	minPassword  = 12
	maxPassword  = 128
	minDifferent = 6
)

// effort is what one guess costs: 64 MiB, and about a tenth of a second.
var effort = &argon2id.Params{Memory: 64 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hashing bounds the memory that logins take at the same time.
var hashing = make(chan struct{}, 4)

func hashSlot(ctx context.Context) (release func(), err error) {
	select {
	case hashing <- struct{}{}:
		return func() { <-hashing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func hashPassword(ctx context.Context, password string) (string, error) {
	release, err := hashSlot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return argon2id.CreateHash(password, effort)
}

// nobody's password is not known to anyone. Whoever has no hash is compared with it, so that the time an
// answer takes does not tell who exists.
var nobody = sync.OnceValues(func() (string, error) { return argon2id.CreateHash(rand.Text(), effort) })

func passwordIs(ctx context.Context, password, hash string) (bool, error) {
	release, err := hashSlot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if hash != "" {
		return argon2id.ComparePasswordAndHash(password, hash)
	}
	if hash, err = nobody(); err != nil {
		return false, err
	}
	_, err = argon2id.ComparePasswordAndHash(password, hash)
	return false, err
}

// checkPassword says what is wrong with a new password, if anything is.
func checkPassword(field, password, user string) []*portcullisv1.FieldProblem {
	different := map[rune]bool{}
	for _, r := range password {
		different[r] = true
	}
	local, _, _ := strings.Cut(user, "@")
	switch length := utf8.RuneCountInString(password); {
	case length < minPassword || length > maxPassword:
		return []*portcullisv1.FieldProblem{rpc.Problem(field, "has %d characters; choose %d to %d", length, minPassword, maxPassword)}
	case len(different) < minDifferent:
		return []*portcullisv1.FieldProblem{rpc.Problem(field, "has %d different characters; choose at least %d", len(different), minDifferent)}
	case len(local) > 3 && strings.Contains(strings.ToLower(password), local):
		return []*portcullisv1.FieldProblem{rpc.Problem(field, "holds the user's name; choose one that does not")}
	}
	return nil
}

// FirstAdminName is who can log in to a new central.
const FirstAdminName = "admin"

// FirstAdmin makes the first user when there is none, and returns the password; otherwise it is empty.
func FirstAdmin(ctx context.Context, s *store.Store, now time.Time) (password string, err error) {
	var users []store.User
	err = s.Read(ctx, func(tx *store.Tx) error { users, err = tx.Users(ctx); return err })
	if err != nil || len(users) > 0 {
		return "", err
	}
	password = rand.Text()
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return "", err
	}
	ctx = bySystem(ctx, "FirstAdmin", now)
	err = s.Tx(ctx, func(tx *store.Tx) error { return createAdmin(ctx, tx, hash, now) })
	if errors.Is(err, store.ErrExists) { // another replica was faster
		return "", nil
	}
	return password, err
}

func createAdmin(ctx context.Context, tx *store.Tx, hash string, now time.Time) error {
	u := store.User{Name: FirstAdminName, Role: Admin.String(), PasswordHash: hash, MustChangePassword: true, CreateTime: now}
	if err := tx.CreateUser(ctx, u); err != nil {
		return err
	}
	return audit.Record(ctx, tx, "user", u.Name, nil, toUser(u))
}

// ResetPassword gives a user a new one-time password, lets them log in again and ends their sessions.
// The user admin is made, and made admin, where that is not so: whoever can run this is never kept out.
func ResetPassword(ctx context.Context, s *store.Store, name string, now time.Time) (password string, err error) {
	password = rand.Text()
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return "", err
	}
	ctx = bySystem(ctx, "ResetPassword", now)
	return password, s.Tx(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, strings.ToLower(name))
		switch {
		case errors.Is(err, store.ErrNotFound) && name == FirstAdminName:
			return createAdmin(ctx, tx, hash, now)
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("there is no user %q; reset the password of %s, who can make users", name, FirstAdminName)
		case err != nil:
			return err
		}
		before := toUser(u)
		if u.Name == FirstAdminName {
			u.Role, u.External, u.Subject = Admin.String(), false, ""
		}
		if u.External {
			return fmt.Errorf("user %q logs in by OIDC and has no password; reset that of %s", u.Name, FirstAdminName)
		}
		u.PasswordHash, u.MustChangePassword, u.Disabled = hash, true, false
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		if err := tx.DeleteSessions(ctx, u.Name, nil); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "user", u.Name, before, toUser(u))
	})
}

func bySystem(ctx context.Context, method string, now time.Time) context.Context {
	return audit.With(ctx, audit.Actor{Name: "system", Method: method, Time: now})
}
