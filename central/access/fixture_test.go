package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/audit"
	"portcullis/central/centraltest"
	"portcullis/central/pki"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

// members are the nodes that are not removed.
type members map[string]bool

func (m members) IsMember(_ context.Context, id string) (bool, error) { return m[id], nil }

const (
	idle     = time.Hour
	lifetime = 8 * time.Hour
	good     = "correct horse battery"
)

// fixture is the services of this package behind their guard.
type fixture struct {
	t        *testing.T
	clock    *centraltest.Clock
	store    *store.Store
	pki      *pki.PKI
	nodes    members
	guard    *access.Guard
	sessions *access.Sessions
	mux      *http.ServeMux
	server   *httptest.Server
}

func newFixture(t *testing.T) *fixture { return newFixtureOn(t, storetest.SQLite(t)) }

func newFixtureOn(t *testing.T, database string) *fixture {
	log := logrus.New()
	log.SetOutput(t.Output())
	f := &fixture{t: t, clock: centraltest.NewClock(time.Now()), nodes: members{}, store: storetest.Open(t, database), mux: http.NewServeMux()}
	var err error
	f.pki, err = pki.Open(ctx, f.store, pki.Options{Data: t.TempDir(), Now: f.clock.Now, Log: log})
	require.NoError(t, err)
	f.guard = access.NewGuard(f.store, f.nodes, f.pki, access.GuardOptions{Idle: idle, Now: f.clock.Now, Log: log})
	f.sessions, err = access.NewSessions(ctx, f.store, access.SessionOptions{Idle: idle, Lifetime: lifetime, Version: "test", OIDCName: "SSO", Now: f.clock.Now, Log: log})
	require.NoError(t, err)
	services := http.NewServeMux()
	options := connect.WithInterceptors(rpc.Errors(log), access.Interceptor())
	services.Handle(api.NewSessionServiceHandler(f.sessions, options))
	services.Handle(api.NewUserServiceHandler(access.NewUsers(f.store, f.clock.Now), options))
	services.Handle(api.NewAuditServiceHandler(audit.NewService(f.store, audit.Options{}), options))
	f.mux.Handle("/", f.guard.RPC(services))
	f.server = httptest.NewTLSServer(f.mux)
	t.Cleanup(f.server.Close)
	return f
}

// caller is a client with cookies and, where it is not empty, a token.
type caller struct {
	*fixture
	http  *http.Client
	jar   *cookiejar.Jar
	token string
}

func (f *fixture) caller() *caller {
	jar, err := cookiejar.New(nil)
	require.NoError(f.t, err)
	transport := f.server.Client().Transport.(*http.Transport).Clone()
	f.t.Cleanup(transport.CloseIdleConnections)
	c := &caller{fixture: f, jar: jar}
	c.http = &http.Client{Jar: jar, Transport: bearer{c, transport}}
	return c
}

type bearer struct {
	caller *caller
	next   http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.caller.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.caller.token)
	}
	return b.next.RoundTrip(r)
}

func (c *caller) session() api.SessionServiceClient {
	return api.NewSessionServiceClient(c.http, c.server.URL)
}

func (c *caller) users() api.UserServiceClient {
	return api.NewUserServiceClient(c.http, c.server.URL)
}

func (c *caller) audit() api.AuditServiceClient {
	return api.NewAuditServiceClient(c.http, c.server.URL)
}

// cookie is the value that the jar would send.
func (c *caller) cookie(name string) string {
	at, err := url.Parse(c.server.URL)
	require.NoError(c.t, err)
	for _, cookie := range c.jar.Cookies(at) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

func (c *caller) login(name, password string) error {
	_, err := c.session().Login(ctx, &portcullisv1.LoginRequest{Name: name, Password: password})
	return err
}

// addUser makes a user with the password good.
func (f *fixture) addUser(name string, role access.Role) {
	f.t.Helper()
	require.NoError(f.t, f.store.Tx(ctx, func(tx *store.Tx) error {
		return tx.CreateUser(ctx, store.User{Name: name, Role: role.String(), PasswordHash: access.GoodHash(), CreateTime: f.clock.Now()})
	}))
}

// as is a caller who logged in as a new user with the role.
func (f *fixture) as(name string, role access.Role) *caller {
	f.t.Helper()
	f.addUser(name, role)
	c := f.caller()
	require.NoError(f.t, c.login(name, good))
	return c
}

// certificate is a node's.
func (f *fixture) certificate(id string) *x509.Certificate {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f.t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(f.t, err)
	der, err := f.pki.Issue(request, id)
	require.NoError(f.t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(f.t, err)
	return certificate
}

// status is what the guard answers to a call of the path.
func (f *fixture) status(path, secret string, certificate *x509.Certificate) int {
	r := httptest.NewRequest(http.MethodPost, path, nil)
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	r.TLS = &tls.ConnectionState{}
	if certificate != nil {
		r.TLS.PeerCertificates = []*x509.Certificate{certificate}
	}
	w := httptest.NewRecorder()
	f.guard.RPC(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })).ServeHTTP(w, r)
	return w.Code
}
