package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"portcullis/central/audit"
	"portcullis/central/store"
)

// Where a browser begins to log in by OIDC, and where the provider sends it back to.
const (
	OIDCLoginPath    = "/auth/oidc/login"
	OIDCCallbackPath = "/auth/oidc/callback"
)

const (
	// flowCookie holds what the callback is compared with, so that it ends only a login that this very
	// browser began.
	flowCookie = "__Host-portcullis-oidc"
	flowLife   = 10 * time.Minute
)

// OIDC lets people log in who have an account at an OpenID provider.
type OIDC struct {
	sessions *Sessions
	options  OIDCOptions

	asking   singleflight.Group            // who waits for a provider that is away waits together
	provider atomic.Pointer[oidc.Provider] // nil until the provider answered once
}

// OIDCOptions says which provider, and what its words mean.
type OIDCOptions struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// URL that people reach central at, without a path.
	URL    string
	Scopes []string
	// NameClaim is the login name; email, the default, has to be verified.
	NameClaim string
	// RolesClaim holds one of the Roles' values, or a list. A user has the greatest role of all. Without
	// Roles an admin makes the users before they log in.
	RolesClaim string
	Roles      map[Role][]string
	Client     *http.Client
}

// NewOIDC makes the handlers of a login by OIDC. The provider is not asked before somebody logs in.
func NewOIDC(sessions *Sessions, options OIDCOptions) *OIDC {
	return &OIDC{sessions: sessions, options: options}
}

// flow is one login under way.
type flow struct {
	State, Nonce, Verifier, Return string
}

func (o *OIDC) connect() (*oidc.Provider, *oauth2.Config, error) {
	if o.provider.Load() == nil {
		_, err, _ := o.asking.Do("", func() (any, error) {
			// The provider keeps the context to fetch keys later.
			provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), o.options.Client), o.options.Issuer)
			if err == nil {
				o.provider.Store(provider)
			}
			return nil, err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	provider := o.provider.Load()
	return provider, &oauth2.Config{
		ClientID: o.options.ClientID, ClientSecret: o.options.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: o.options.URL + OIDCCallbackPath, Scopes: o.options.Scopes,
	}, nil
}

// Login sends the browser to the provider.
func (o *OIDC) Login(w http.ResponseWriter, r *http.Request) {
	_, config, err := o.connect()
	if err != nil {
		o.sessions.options.Log.WithError(err).Error("OpenID provider")
		http.Error(w, "The login service cannot be reached; try again later, or log in with a password.", http.StatusBadGateway)
		return
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Return: localPath(r.URL.Query().Get("return"))}
	text, _ := json.Marshal(f) // strings only
	http.SetCookie(w, newCookie(flowCookie, base64.RawURLEncoding.EncodeToString(text), flowLife))
	http.Redirect(w, r, config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusFound)
}

// maxReturn bounds a path to come back to.
const maxReturn = 1024

// localPath is path if it is on this host, and the root otherwise: nobody is sent elsewhere by a link to
// our login.
func localPath(path string) string {
	parsed, err := url.Parse(path)
	if err != nil || len(path) > maxReturn || parsed.Scheme != "" || parsed.Host != "" || parsed.User != nil ||
		!strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsRune(path, '\\') ||
		strings.ContainsFunc(path, unicode.IsControl) {
		return "/"
	}
	return path
}

// errOIDC is what the browser is told; the log has more.
var errOIDC = errors.New("the login did not succeed; begin again")

// Callback ends the login that Login began.
func (o *OIDC) Callback(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, deleteCookie(flowCookie))
	address := address(r)
	log := o.sessions.options.Log.WithField("address", address)
	if wait := o.sessions.limiter.take("oidc "+network(address), addressBurst, addressEvery); wait > 0 {
		http.Error(w, "Too many logins; try again in "+wait.String()+".", http.StatusTooManyRequests)
		return
	}
	f, claims, err := o.claims(r)
	if err != nil {
		log.WithError(err).Warn("login by OIDC failed")
		http.Error(w, errOIDC.Error(), http.StatusUnauthorized)
		return
	}
	ctx := audit.With(r.Context(), audit.Actor{Address: address, Method: "Login", Time: o.sessions.options.Now()})
	name, secret, err := o.logIn(ctx, claims, cookie(r.Header, sessionCookie))
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		log.WithError(err).Warn("login by OIDC refused")
		http.Error(w, err.Error(), http.StatusForbidden)
	case err != nil:
		log.WithError(err).Error("login by OIDC")
		http.Error(w, "central cannot do this at the moment; try again later", http.StatusServiceUnavailable)
	default:
		o.sessions.setCookies(w.Header(), name, secret, cookie(r.Header, deviceCookie))
		http.Redirect(w, r, f.Return, http.StatusFound)
	}
}

// claims are what the provider says of the person, once everything about the answer was checked.
func (o *OIDC) claims(r *http.Request) (f flow, claims map[string]any, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cookie(r.Header, flowCookie))
	if err != nil || json.Unmarshal(text, &f) != nil || f.State == "" {
		return f, nil, errors.New("the browser did not begin a login here, or too long ago")
	}
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.State)) != 1 {
		return f, nil, errors.New("the state is of another login")
	}
	if refused := query.Get("error"); refused != "" {
		return f, nil, fmt.Errorf("the provider says %.100q: %.200q", refused, query.Get("error_description"))
	}
	provider, config, err := o.connect()
	if err != nil {
		return f, nil, err
	}
	ctx := oidc.ClientContext(r.Context(), o.options.Client)
	tokens, err := config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return f, nil, err
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: o.options.ClientID, Now: o.sessions.options.Now}).Verify(ctx, raw)
	if err != nil {
		return f, nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return f, nil, errors.New("the ID token is of another login")
	}
	err = id.Claims(&claims)
	f.Return = localPath(f.Return)
	return f, claims, err
}

// refusal is why somebody who proved who they are may not log in.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

// logIn begins a session of the person, who becomes a user if that is how it is configured.
func (o *OIDC) logIn(ctx context.Context, claims map[string]any, old string) (name, secret string, err error) {
	name, err = o.name(claims)
	if err != nil {
		return "", "", err
	}
	role := o.role(claims)
	if len(o.options.Roles) > 0 && role == NoRole {
		return "", "", &refusal{fmt.Sprintf("%s has no role here; ask an admin of Portcullis", name)}
	}
	issuer, _ := claims["iss"].(string)
	subject, _ := claims["sub"].(string)
	ctx = audit.As(ctx, "user:"+name)
	err = o.sessions.store.Tx(ctx, func(tx *store.Tx) error {
		u, err := o.user(ctx, tx, name, issuer+"|"+subject, role)
		if err != nil {
			return err
		}
		name = u.Name
		secret, _, err = o.sessions.begin(ctx, tx, u, "oidc", old)
		return err
	})
	return name, secret, err
}

func (o *OIDC) name(claims map[string]any) (string, error) {
	name, _ := claims[o.options.NameClaim].(string)
	name = strings.ToLower(name)
	if !userName.MatchString(name) {
		return "", &refusal{fmt.Sprintf("the provider's claim %s is not a login name", o.options.NameClaim)}
	}
	if verified := claims["email_verified"]; o.options.NameClaim == "email" && verified != true && verified != "true" {
		return "", &refusal{"the provider has not verified the e-mail address"}
	}
	return name, nil
}

func (o *OIDC) role(claims map[string]any) Role {
	var values []string
	switch claim := claims[o.options.RolesClaim].(type) {
	case string:
		values = []string{claim}
	case []any:
		for _, one := range claim {
			if text, ok := one.(string); ok {
				values = append(values, text)
			}
		}
	}
	greatest := NoRole
	for role, wanted := range o.options.Roles {
		if slices.ContainsFunc(values, func(v string) bool { return slices.Contains(wanted, v) }) {
			greatest = max(greatest, role)
		}
	}
	return greatest
}

// user finds whom the subject belongs to. Names may pass from one person to another at the provider,
// subjects do not; so a name counts only until its first login.
func (o *OIDC) user(ctx context.Context, tx *store.Tx, name, subject string, role Role) (store.User, error) {
	u, err := tx.UserBySubject(ctx, subject)
	if errors.Is(err, store.ErrNotFound) {
		u, err = tx.User(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return o.newUser(ctx, tx, name, subject, role)
		}
		if err == nil && (!u.External || u.Subject != "") {
			return u, &refusal{fmt.Sprintf("the name %s belongs to another user here; ask an admin of Portcullis", name)}
		}
	}
	if err != nil {
		return u, err
	}
	if u.Disabled {
		return u, &refusal{fmt.Sprintf("%s may not log in; ask an admin of Portcullis", u.Name)}
	}
	before := toUser(u)
	u.Subject = subject
	if role == NoRole || u.Role == role.String() {
		return u, tx.UpdateUser(ctx, u)
	}
	u.Role = role.String()
	if err := tx.UpdateUser(ctx, u); err != nil {
		return u, err
	}
	return u, audit.Record(ctx, tx, "user", u.Name, before, toUser(u))
}

func (o *OIDC) newUser(ctx context.Context, tx *store.Tx, name, subject string, role Role) (store.User, error) {
	if role == NoRole {
		return store.User{}, &refusal{fmt.Sprintf("%s is not a user here; ask an admin of Portcullis", name)}
	}
	u := store.User{Name: name, Role: role.String(), External: true, Subject: subject, CreateTime: o.sessions.options.Now()}
	if err := tx.CreateUser(ctx, u); err != nil {
		return u, err
	}
	return u, audit.Record(ctx, tx, "user", u.Name, nil, toUser(u))
}
