package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"portcullis/central/store"
)

const (
	// sessionCookie has the prefix with which browsers take it from this very host over TLS only.
	sessionCookie = "__Host-portcullis-session"
	// The prefixes let scanners of leaked secrets find what is ours.
	sessionPrefix = "pcs_"
	tokenPrefix   = "pct_"
	// maxSecret is far above the length of any secret of ours.
	maxSecret = 256
	// useResolution is how exactly it is known when a secret was used last.
	useResolution = time.Minute
)

// newSecret makes a secret, and the hash that is kept of it.
func newSecret(prefix string) (secret string, hash []byte) {
	secret = prefix + rand.Text() + rand.Text()
	return secret, HashSecret(secret)
}

// HashSecret is what is kept of a secret. It needs no salt and no effort: a secret has 256 random bits.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

var (
	errSession = errors.New("the session is over; log in again")
	errToken   = errors.New("the API token is not valid; it was deleted, has expired, or was never given")
)

// identifySecret says whose the secret is. A secret that is worth nothing leaves the caller anonymous.
func (g *Guard) identifySecret(ctx context.Context, secret string, principal Principal) (Principal, error) {
	var err error
	var refresh func(*store.Tx) error
	err = g.store.Read(ctx, func(tx *store.Tx) error {
		found := principal
		switch {
		case len(secret) > maxSecret:
			found.why = errToken
		case strings.HasPrefix(secret, sessionPrefix):
			found, refresh, err = g.session(ctx, tx, HashSecret(secret), principal)
		default:
			found, refresh, err = g.token(ctx, tx, HashSecret(secret), principal)
		}
		if err == nil {
			principal = found
		}
		return err
	})
	if err == nil && refresh != nil {
		if err := g.store.Tx(ctx, refresh); err != nil { // reading goes on when nothing can be written
			g.options.Log.WithError(err).Warn("use of a session or token was not noted")
		}
	}
	return principal, err
}

func (g *Guard) session(ctx context.Context, tx *store.Tx, hash []byte, p Principal) (Principal, func(*store.Tx) error, error) {
	now := g.options.Now()
	session, err := tx.Session(ctx, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && (!now.Before(session.ExpireTime) || now.Sub(session.LastUseTime) >= g.options.Idle) {
		p.why = errSession
		return p, nil, nil
	}
	if err != nil {
		return p, nil, err
	}
	user, err := tx.User(ctx, session.User)
	if err != nil {
		return p, nil, err
	}
	if user.Disabled {
		p.why = errSession
		return p, nil, nil
	}
	p.Kind, p.Name, p.Role = User, user.Name, ParseRole(user.Role)
	p.MustChangePassword, p.session, p.expires = user.MustChangePassword, hash, session.ExpireTime
	if now.Sub(session.LastUseTime) < useResolution {
		return p, nil, nil
	}
	return p, func(tx *store.Tx) error { return tx.UseSession(ctx, hash, now) }, nil
}

func (g *Guard) token(ctx context.Context, tx *store.Tx, hash []byte, p Principal) (Principal, func(*store.Tx) error, error) {
	now := g.options.Now()
	token, err := tx.TokenByHash(ctx, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && !now.Before(token.ExpireTime) {
		p.why = errToken
		return p, nil, nil
	}
	if err != nil {
		return p, nil, err
	}
	user, err := tx.User(ctx, token.User)
	if err != nil {
		return p, nil, err
	}
	if user.Disabled || user.MustChangePassword {
		p.why = errToken
		return p, nil, nil
	}
	p.Kind, p.Name, p.TokenID, p.expires = Token, user.Name, token.ID, token.ExpireTime
	p.Role = min(ParseRole(token.Role), ParseRole(user.Role)) // the user may have less now
	if now.Sub(token.LastUseTime) < useResolution {
		return p, nil, nil
	}
	return p, func(tx *store.Tx) error { return tx.UseToken(ctx, token.ID, now) }, nil
}
