package pki_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"portcullis/central/pki"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

type central struct {
	*pki.PKI
	t    *testing.T
	data string
	now  time.Time
}

func open(t *testing.T, s *store.Store, options pki.Options) *central {
	t.Helper()
	c := &central{t: t, data: t.TempDir(), now: time.Now()}
	log := logrus.New()
	log.SetOutput(t.Output())
	options.Data, options.Log, options.Now = c.data, log, func() time.Time { return c.now }
	var err error
	c.PKI, err = pki.Open(ctx, s, options)
	require.NoError(t, err)
	return c
}

// server is the certificate for the next connection.
func (c *central) server() *x509.Certificate {
	c.t.Helper()
	certificate, err := c.TLSConfig().GetCertificate(nil)
	require.NoError(c.t, err)
	return certificate.Leaf
}

func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "admin"}}, key)
	require.NoError(t, err)
	return der
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// node is the certificate of the node n1 with its key.
func (c *central) node() tls.Certificate {
	c.t.Helper()
	key := newKey(c.t)
	der, err := c.Issue(request(c.t, key), "n1")
	require.NoError(c.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(c.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// handshake connects a client to central's TLS over loopback, and returns what each side says.
func (c *central) handshake(certificates []tls.Certificate, name string) (server, client error) {
	c.t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", c.TLSConfig())
	require.NoError(c.t, err)
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		connection, err := listener.Accept()
		if err == nil {
			err = connection.(*tls.Conn).Handshake()
			connection.Close()
		}
		done <- err
	}()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(c.data, "ca.crt"))
	require.NoError(c.t, err)
	require.True(c.t, roots.AppendCertsFromPEM(text))
	// GetClientCertificate sends it whatever authorities the server names.
	config := &tls.Config{RootCAs: roots, ServerName: name, MaxVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &certificates[0], nil
	}}
	connection, client := tls.Dial("tcp", listener.Addr().String(), config)
	if client == nil {
		connection.Close()
	}
	return <-done, client
}

func TestTheServerIsKnownByItsAuthorityUnderAllItsNames(t *testing.T) {
	c := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{Names: []string{"central.example.com", "192.0.2.7"}})
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, name := range []string{"central.example.com", "192.0.2.7", "localhost", "127.0.0.1", host} {
		server, client := c.handshake(nil, name)
		require.NoError(t, server, name)
		require.NoError(t, client, name)
	}
	_, client := c.handshake(nil, "other.example.com")
	require.Error(t, client)
	sum := sha256.Sum256(c.Authorities()[0])
	require.Equal(t, hex.EncodeToString(sum[:]), c.Fingerprint())
}

func TestTheServersCertificateIsRenewedWithoutARestart(t *testing.T) {
	c := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{})
	first := c.server()
	c.now = c.now.Add(59 * 24 * time.Hour)
	require.Equal(t, first, c.server())
	c.now = c.now.Add(2 * 24 * time.Hour)
	second := c.server()
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	require.True(t, second.NotAfter.After(first.NotAfter))
}

func TestTheAuthoritySurvivesARestartAndIsOneForAllReplicas(t *testing.T) {
	storetest.Run(t, func(t *testing.T, s *store.Store) {
		one, other := open(t, s, pki.Options{}), open(t, s, pki.Options{})
		require.Equal(t, one.Fingerprint(), other.Fingerprint())
		id, expired, err := other.NodeID(one.node().Leaf)
		require.NoError(t, err)
		require.False(t, expired)
		require.Equal(t, "n1", id)
	})
}

func TestOnlyANodesCertificateMakesANode(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	c := open(t, s, pki.Options{})
	server, client := c.handshake([]tls.Certificate{c.node()}, "localhost")
	require.NoError(t, server)
	require.NoError(t, client)

	foreign := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{}).node()
	own, err := c.TLSConfig().GetCertificate(nil)
	require.NoError(t, err)
	for name, certificate := range map[string]tls.Certificate{"of another central": foreign, "the server's": *own} {
		server, client := c.handshake([]tls.Certificate{certificate}, "localhost")
		require.ErrorContains(t, server, "not given by this central", name)
		require.Error(t, client, name)
	}
}

func TestAnExpiredNodeStillSaysWhoItIs(t *testing.T) {
	c := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{})
	node := c.node()
	for _, passed := range []time.Duration{0, pki.NodeLife + time.Minute} {
		c.now = c.now.Add(passed)
		id, expired, err := c.NodeID(node.Leaf)
		require.NoError(t, err)
		require.Equal(t, passed > 0, expired)
		require.Equal(t, "n1", id)
	}
}

func TestOfARequestOnlyTheKeyCounts(t *testing.T) {
	c := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{})
	leaf := c.node().Leaf
	require.Equal(t, "n1", leaf.Subject.CommonName, "the request asked for another name")
	require.False(t, leaf.IsCA)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, leaf.ExtKeyUsage)
	require.Empty(t, leaf.DNSNames)
}

func TestUnfitRequestsAreRefused(t *testing.T) {
	c := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	forged := request(t, newKey(t))
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{"empty": nil, "garbage": []byte("hello"), "weak key": request(t, weak), "forged": forged, "large": make([]byte, 1<<20)} {
		_, err := c.Issue(der, "n1")
		require.ErrorIs(t, err, pki.ErrRequest, name)
	}
}

// operator is a certificate authority of the operator's.
type operator struct {
	t      *testing.T
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	folder string
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t, key: newKey(t), folder: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Corp CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, o.key.Public(), o.key)
	require.NoError(t, err)
	o.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	o.write("ca.pem", "CERTIFICATE", der)
	return o
}

func (o *operator) write(name, kind string, der []byte) {
	o.t.Helper()
	require.NoError(o.t, os.WriteFile(filepath.Join(o.folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// issue writes a new server certificate with the number.
func (o *operator) issue(number int64) {
	o.t.Helper()
	key := newKey(o.t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(number), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Minute),
		DNSNames: []string{"central.corp"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, o.ca, key.Public(), o.key)
	require.NoError(o.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(o.t, err)
	o.write("tls.crt", "CERTIFICATE", der)
	o.write("tls.key", "PRIVATE KEY", private)
	later := time.Now().Add(time.Duration(number) * time.Second) // a file system's clock may be coarse
	require.NoError(o.t, os.Chtimes(filepath.Join(o.folder, "tls.crt"), later, later))
}

func (o *operator) files() pki.Files {
	return pki.Files{Certificate: filepath.Join(o.folder, "tls.crt"), Key: filepath.Join(o.folder, "tls.key"), Authority: filepath.Join(o.folder, "ca.pem")}
}

func TestTheOperatorsCertificateIsTakenAnewWhenItChanges(t *testing.T) {
	o := newOperator(t)
	o.issue(7)
	c := open(t, storetest.Open(t, storetest.SQLite(t)), pki.Options{Files: o.files()})
	require.Equal(t, int64(7), c.server().SerialNumber.Int64())
	require.Equal(t, [][]byte{o.ca.Raw}, c.Authorities(), "what nodes are told to trust")
	_, client := c.handshake([]tls.Certificate{c.node()}, "central.corp")
	require.NoError(t, client)

	o.issue(8)
	require.Equal(t, int64(8), c.server().SerialNumber.Int64())
	o.write("tls.key", "PRIVATE KEY", []byte("not a key"))
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(o.folder, "tls.key"), later, later))
	require.Equal(t, int64(8), c.server().SerialNumber.Int64(), "a broken change changes nothing")
	o.issue(9)
	require.Equal(t, int64(9), c.server().SerialNumber.Int64())
}

func TestACertificateThatIsNotOfItsAuthorityIsAMistakeAtTheStart(t *testing.T) {
	o, other := newOperator(t), newOperator(t)
	o.issue(7)
	files := o.files()
	files.Authority = other.files().Authority
	_, err := pki.Open(ctx, storetest.Open(t, storetest.SQLite(t)), pki.Options{Files: files, Data: t.TempDir(), Now: time.Now, Log: logrus.New()})
	require.ErrorContains(t, err, "tls.certificate is not good by tls.authority")
}
