package access

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"

	"portcullis/central/audit"
	"portcullis/central/store"
)

// Sessions is the SessionService; one file for each RPC that is more than a few lines.
type Sessions struct {
	store   *store.Store
	limiter *limiter
	options SessionOptions
}

// SessionOptions is what sessions need besides.
type SessionOptions struct {
	// Idle and Lifetime are how long a session lasts: when it is not used, and at most.
	Idle, Lifetime time.Duration
	// Version of central, which callers are told.
	Version string
	// OIDCName is the text of the button; empty where there is no OIDC.
	OIDCName string
	Now      func() time.Time
	Log      logrus.FieldLogger
}

// NewSessions makes the SessionService.
func NewSessions(ctx context.Context, s *store.Store, options SessionOptions) (*Sessions, error) {
	key, err := s.Key(ctx, "devices", func() ([]byte, error) { return []byte(rand.Text() + rand.Text()), nil })
	if err != nil {
		return nil, err
	}
	return &Sessions{store: s, limiter: newLimiter(key, options.Now), options: options}, nil
}

// deviceCookie lets a browser log in while strangers guess the same name's password.
const (
	deviceCookie = "__Host-portcullis-device"
	deviceLife   = 365 * 24 * time.Hour
)

// begin starts a session of the user and ends the one with the old secret, which may be empty: a secret
// that somebody knew before the login is worth nothing after it.
func (s *Sessions) begin(ctx context.Context, tx *store.Tx, u store.User, how, old string) (secret string, expires time.Time, err error) {
	now := s.options.Now()
	secret, hash := newSecret(sessionPrefix)
	expires = now.Add(s.options.Lifetime)
	if err := tx.DeleteSession(ctx, HashSecret(old)); err != nil {
		return "", expires, err
	}
	u.LastLoginTime = now
	if err := tx.UpdateUser(ctx, u); err != nil {
		return "", expires, err
	}
	if err := tx.CreateSession(ctx, store.Session{Hash: hash, User: u.Name, CreateTime: now, LastUseTime: now, ExpireTime: expires}); err != nil {
		return "", expires, err
	}
	return secret, expires, audit.Record(audit.As(ctx, "user:"+u.Name), tx, "session", u.Name, nil, map[string]string{"login": how})
}

// newCookie makes a cookie that only this host gets back, and no script can read.
func newCookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func deleteCookie(name string) *http.Cookie {
	return newCookie(name, "", -time.Second)
}

// headers are those of the call, and of its answer.
func headers(ctx context.Context) (request, response http.Header) {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return http.Header{}, http.Header{}
	}
	return info.RequestHeader(), info.ResponseHeader()
}

// cookie is the value of a request's cookie, empty where there is none.
func cookie(header http.Header, name string) string {
	c, err := (&http.Request{Header: header}).Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}
