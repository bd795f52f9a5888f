// Package uplinktest is a central for tests of the node: the real generated handlers on real TLS, with a
// store that is a few maps, and faults on demand.
package uplinktest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
)

// Central is a central with one node.
type Central struct {
	portcullisv1connect.UnimplementedSyncServiceHandler
	Authority *Authority
	// Life of the certificates that it gives; default 24h.
	Life time.Duration
	// Fault is asked before every call, by the method's name, and may answer in its place. It may be nil.
	Fault func(ctx context.Context, method string) error

	server *httptest.Server

	mu        sync.Mutex
	changed   chan struct{} // closed at every change
	bundle    *portcullisv1.Bundle
	documents map[string]string // of all bundles so far, by checksum
	edits     int               // that were sent
	spoil     func(*portcullisv1.BundleEdit)
	verdicts  map[string]*portcullisv1.ImageVerdict
	told      *portcullisv1.VerdictChanges
	streams   []context.CancelFunc
	states    []*portcullisv1.ReportStateRequest
	inventory map[string]*portcullisv1.PresentImage
	has       map[string]int64
	events    []*portcullisv1.FoldedDecision
	starts    []*portcullisv1.Start
	calls     map[string]int
	lose      bool
	slow      chan struct{} // the next answer about verdicts waits for it
	waiting   bool
}

// Token is the join token that a Central takes, without the fingerprint of its authority.
const Token = "pcj_test.secret"

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority of its own.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &Authority{certificate, key}
}

// Fingerprint is the SHA-256 of the authority's public key, as a join token carries it.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.Certificate.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Sign certifies a key from a moment for a while.
func (a *Authority) Sign(key any, name string, from time.Time, life time.Duration) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: from.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.Certificate, key, a.key)
}

// New starts a central that stops with the test.
func New(t *testing.T) *Central {
	t.Helper()
	c := &Central{
		Authority: NewAuthority(t), Life: 24 * time.Hour, changed: make(chan struct{}), documents: map[string]string{},
		verdicts: map[string]*portcullisv1.ImageVerdict{}, inventory: map[string]*portcullisv1.PresentImage{}, has: map[string]int64{}, calls: map[string]int{},
	}
	c.Serve(t, c.Authority, time.Now().Add(-time.Hour), 24*time.Hour)
	return c
}

// Serve starts the server, at the address of the one before, with a certificate of the authority.
func (c *Central) Serve(t *testing.T, authority *Authority, from time.Time, life time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := authority.Sign(&key.PublicKey, "central", from, life)
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(c.Authority.Certificate)
	mux := http.NewServeMux()
	mux.Handle(portcullisv1connect.NewSyncServiceHandler(c, connect.WithInterceptors(&faults{c})))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), proofKey{}, proofOf(r.TLS.PeerCertificates, clients))))
	}))
	if c.server != nil {
		server.Listener.Close()
		server.Listener, err = net.Listen("tcp", c.server.Listener.Addr().String())
		require.NoError(t, err)
	}
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der, authority.Certificate.Raw}, PrivateKey: key}},
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are what tests are about
	server.StartTLS()
	c.server = server
	t.Cleanup(func() { c.stop(server) })
}

// Stop ends the server; Serve starts it again.
func (c *Central) Stop() { c.stop(c.server) }

func (c *Central) stop(server *httptest.Server) {
	c.CutStreams()
	server.CloseClientConnections()
	server.Close()
}

// Address is where the server listens.
func (c *Central) Address() string { return "https://" + c.server.Listener.Addr().String() }

// Token is what a node joins with.
func (c *Central) Token() string { return Token + "." + c.Authority.Fingerprint() }

// faults puts Central.Fault before every call, and wants a certificate for all but Join.
type faults struct{ central *Central }

func (f *faults) before(ctx context.Context, procedure string) error {
	c, method := f.central, procedure[len(portcullisv1connect.SyncServiceName)+2:]
	c.mu.Lock()
	c.calls[method]++
	fault := c.Fault
	c.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, method); err != nil {
			return err
		}
	}
	shown := ctx.Value(proofKey{})
	if method == "Join" || shown == good || shown == expired && method == "Renew" {
		return nil
	}
	return connect.NewError(connect.CodeUnauthenticated, nil)
}

// proof is what the certificate of a caller is worth.
type (
	proof    int
	proofKey struct{}
)

const (
	none proof = iota
	expired
	good
)

func proofOf(certificates []*x509.Certificate, authorities *x509.CertPool) proof {
	if len(certificates) == 0 {
		return none
	}
	at, worth := time.Now(), good
	if end := certificates[0].NotAfter; at.After(end) {
		at, worth = end, expired
	}
	options := x509.VerifyOptions{Roots: authorities, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := certificates[0].Verify(options); err != nil {
		return none
	}
	return worth
}

func (f *faults) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := f.before(ctx, request.Spec().Procedure); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

func (f *faults) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (f *faults) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		if err := f.before(ctx, stream.Spec().Procedure); err != nil {
			return err
		}
		return next(ctx, stream)
	}
}
