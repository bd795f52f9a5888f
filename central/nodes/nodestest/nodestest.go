// Package nodestest is a central for tests of what nodes and operators call about nodes and images: the real
// services behind the real guard on real mutual TLS, with bundles and decisions that tests control.
package nodestest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/access"
	"portcullis/central/centraltest"
	"portcullis/central/images"
	"portcullis/central/nodes"
	"portcullis/central/pki"
	"portcullis/central/rpc"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

// Bundles is the newest bundle of all replicas.
type Bundles struct {
	mu     sync.Mutex
	newest *portcullisv1.Bundle
}

// NewestBundle returns what was published last.
func (b *Bundles) NewestBundle(context.Context) (*portcullisv1.Bundle, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest == nil {
		return nil, store.ErrNotFound
	}
	return b.newest, nil
}

// Publish makes a bundle the newest, by a change of the store.
func (b *Bundles) Publish(t testing.TB, s *store.Store, number int64, documents string) {
	t.Helper()
	b.mu.Lock()
	b.newest = &portcullisv1.Bundle{Number: number, Documents: documents}
	b.mu.Unlock()
	require.NoError(t, s.Tx(context.Background(), func(tx *store.Tx) error { tx.Notify("bundles", "new"); return nil }))
}

// Decisions counts what was uploaded by node.
type Decisions struct {
	mu  sync.Mutex
	got map[string]int
}

// Ingest takes everything.
func (d *Decisions) Ingest(_ context.Context, nodeID string, request *portcullisv1.UploadDecisionsRequest) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got[nodeID] += len(request.GetDecisions())
	return request.GetThrough(), nil
}

// Of is how many a node has uploaded.
func (d *Decisions) Of(nodeID string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got[nodeID]
}

// Central is one replica.
type Central struct {
	Store     *store.Store
	PKI       *pki.PKI
	Sync      *nodes.Sync
	Images    *images.Service
	Bundles   *Bundles
	Decisions *Decisions
	Clock     *centraltest.Clock
	URL       string
	// Stop ends the replica as a signal would.
	Stop func()

	t testing.TB
}

// Both runs a test with a central on either database.
func Both(t *testing.T, test func(t *testing.T, c *Central)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, New(t, storetest.SQLite(t))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, New(t, storetest.Postgres(t))) })
}

// New starts a central on an empty database.
func New(t testing.TB, database string) *Central {
	t.Helper()
	return start(t, database, &Bundles{}, centraltest.NewClock(time.Now()))
}

// Replica starts another replica of the central on its database, which has to be PostgreSQL.
func (c *Central) Replica(database string) *Central {
	c.t.Helper()
	return start(c.t, database, c.Bundles, c.Clock)
}

func start(t testing.TB, database string, bundles *Bundles, clock *centraltest.Clock) *Central {
	t.Helper()
	logger := logrus.New()
	logger.SetOutput(t.Output())
	c := &Central{t: t, Store: storetest.Open(t, database), Bundles: bundles, Decisions: &Decisions{got: map[string]int{}}, Clock: clock}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	c.PKI, err = pki.Open(ctx, c.Store, pki.Options{Data: t.TempDir(), Now: clock.Now, Log: logger})
	require.NoError(t, err)
	c.Images, err = images.New(c.Store, bundles, images.Options{Dir: t.TempDir(), Now: clock.Now, Log: logger})
	require.NoError(t, err)
	options := nodes.Options{URL: "https://central.test:8443", Now: clock.Now, Log: logger}
	c.Sync = nodes.NewSync(c.Store, c.PKI, bundles, c.Images, c.Decisions, options)
	guard := access.NewGuard(c.Store, c.Sync, c.PKI, access.GuardOptions{Idle: time.Hour, Now: clock.Now, Log: logger})
	services := http.NewServeMux()
	interceptors := connect.WithInterceptors(rpc.Errors(logger), access.Interceptor())
	limit := connect.WithReadMaxBytes(16 << 20)
	services.Handle(api.NewNodeServiceHandler(nodes.NewService(c.Store, c.Sync, c.PKI, options), interceptors))
	services.Handle(api.NewImageServiceHandler(c.Images, interceptors))
	path, handler := api.NewSyncServiceHandler(c.Sync, interceptors, limit, c.Sync.Compression(16<<20))
	services.Handle(path, c.Sync.InTurn(handler))
	mux := http.NewServeMux()
	mux.Handle("/", guard.RPC(services))
	mux.Handle("POST "+images.UploadPath, guard.HTTP(access.ByEditor(), http.HandlerFunc(c.Images.Upload)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.URL = "https://" + listener.Addr().String()
	server := &http.Server{
		Handler: mux, TLSConfig: c.PKI.TLSConfig(), ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // failed handshakes are what tests are about
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { c.Sync.Run(ctx) })
	tasks.Go(func() { _ = server.ServeTLS(listener, "", "") }) // it ends by Stop
	c.Stop = sync.OnceFunc(func() {
		_ = server.Close() // what is open is cut off
		cancel()
		tasks.Wait()
	})
	t.Cleanup(c.Stop)
	return c
}

// client trusts central and has a certificate, where there is one.
func (c *Central) client(certificates ...tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	for _, der := range c.PKI.Authorities() {
		authority, err := x509.ParseCertificate(der)
		require.NoError(c.t, err)
		roots.AddCert(authority)
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: certificates, Time: c.Clock.Now, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Anyone is a caller who proves nothing.
func (c *Central) Anyone() api.SyncServiceClient {
	return api.NewSyncServiceClient(c.client(), c.URL, connect.WithGRPC())
}

// Operator is someone with an API token of a role.
type Operator struct {
	Nodes  api.NodeServiceClient
	Images api.ImageServiceClient
	HTTP   *http.Client
	URL    string
}

// Operator makes a user with a token.
func (c *Central) Operator(role access.Role) *Operator {
	c.t.Helper()
	ctx, now := context.Background(), c.Clock.Now()
	name := "u" + store.NewID()
	token := "pct_" + rand.Text() + rand.Text()
	require.NoError(c.t, c.Store.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.CreateUser(ctx, store.User{Name: name, Role: role.String(), PasswordHash: "x", CreateTime: now}); err != nil {
			return err
		}
		return tx.CreateToken(ctx, store.Token{ID: store.NewID(), Hash: access.HashSecret(token), User: name, Role: role.String(), CreateTime: now, ExpireTime: now.Add(365 * 24 * time.Hour)})
	}))
	client := c.client()
	client.Transport = bearer{token, client.Transport}
	return &Operator{Nodes: api.NewNodeServiceClient(client, c.URL), Images: api.NewImageServiceClient(client, c.URL), HTTP: client, URL: c.URL}
}

type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// Request is a new key and the request to certify it.
func Request(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	return key, request
}

// Token makes a join token.
func (c *Central) Token(uses int32) string {
	c.t.Helper()
	answer, err := c.Operator(access.Admin).Nodes.CreateJoinToken(context.Background(), &portcullisv1.CreateJoinTokenRequest{Uses: uses})
	require.NoError(c.t, err)
	return answer.GetSecret()
}

// Node is one that joined.
type Node struct {
	ID          string
	Name        string
	Certificate tls.Certificate
	api.SyncServiceClient
}

// Join joins a node.
func (c *Central) Join(name string) *Node {
	c.t.Helper()
	key, request := Request(c.t)
	answer, err := c.Anyone().Join(context.Background(), &portcullisv1.JoinRequest{
		Token: c.Token(1), CertificateRequest: request, Info: &portcullisv1.NodeInfo{Name: name, Platform: "linux/amd64", Addresses: []string{"10.0.0.1"}},
	})
	require.NoError(c.t, err)
	return c.Node(answer.GetNodeId(), name, tls.Certificate{Certificate: [][]byte{answer.GetCertificate()}, PrivateKey: key})
}

// Node is one that joined, at this replica, with a certificate.
func (c *Central) Node(id, name string, certificate tls.Certificate) *Node {
	return &Node{ID: id, Name: name, Certificate: certificate, SyncServiceClient: api.NewSyncServiceClient(c.client(certificate), c.URL, connect.WithGRPC())}
}

// Stream is what a node was sent.
type Stream struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at the next bundle
	bundle   *portcullisv1.Bundle
	at       time.Time // when it came
	bundles  int
	images   map[string]int
	verdicts int64
	err      error
	ended    bool
}

// Open opens the node's stream, which ends with the test.
func (n *Node) Open(t testing.TB, request *portcullisv1.SyncRequest) *Stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stream{images: map[string]int{}, changed: make(chan struct{})}
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		stream, err := n.Sync(ctx, request)
		if err == nil {
			for stream.Receive() {
				s.take(stream.Msg())
			}
			err = stream.Err()
			_ = stream.Close()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.err, s.ended = err, true
	}()
	return s
}

func (s *Stream) take(m *portcullisv1.SyncResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := m.GetBundle(); b != nil {
		s.bundle, s.at = b, time.Now()
		s.bundles++
		close(s.changed)
		s.changed = make(chan struct{})
	}
	if v := m.GetVerdicts(); v != nil {
		s.verdicts = v.GetVerdicts()
		for _, id := range v.GetImageIds() {
			s.images[id]++
		}
	}
}

// Bundle is the number of the last bundle, and how many there were.
func (s *Stream) Bundle() (number int64, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundle.GetNumber(), s.bundles
}

// Await waits for a bundle and returns when it came.
func (s *Stream) Await(t testing.TB, number int64) time.Time {
	t.Helper()
	for {
		s.mu.Lock()
		got, at, changed := s.bundle.GetNumber(), s.at, s.changed
		s.mu.Unlock()
		if got == number {
			return at
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatalf("bundle %d did not come", number)
		}
	}
}

// Told is how often the node was told of an image, and the number of the last change.
func (s *Stream) Told(image string) (times int, number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[image], s.verdicts
}

// Ended is the error that the stream ended with.
func (s *Stream) Ended() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.err
}
