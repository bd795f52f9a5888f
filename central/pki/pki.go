// Package pki answers: how do central and its nodes prove who they are?
//
// Central is its own certificate authority. Its key is in the database, because all replicas sign with
// it; see docs/central.md for what that asks of the database's operator. The server's certificate is
// made anew at every start and lives in memory, or is the operator's, in files that may change at any time.
package pki

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
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"

	"portcullis/central/store"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 90 * 24 * time.Hour
	// NodeLife is how long a node's certificate is good. A node renews its own long before.
	NodeLife = 30 * 24 * time.Hour
	// skew is how far another machine's clock may be behind ours.
	skew = time.Hour
)

// PKI is central's certificate authority and its server's certificate.
type PKI struct {
	now       func() time.Time
	log       logrus.FieldLogger
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	pool      *x509.CertPool // of the authority alone
	server    server
	verified  *lru.Cache[[sha256.Size]byte, struct{}] // certificates of nodes
	trusted   *x509.Certificate                       // by which others know the server
}

// maxVerified bounds the certificates that are known to be good, so that their signatures are not verified with each
// call: that would be most of what a call costs.
const maxVerified = 20_000

// Files names the operator's own certificate of the server, as PEM.
type Files struct {
	Certificate string // with the intermediates that belong to it
	Key         string
	Authority   string // that signed it, which nodes are told to trust
}

// Options is what a PKI needs to be opened.
type Options struct {
	// Names and addresses of the server's certificate, besides those of this machine.
	Names []string
	Files Files // empty for a certificate of central's own authority
	// Data is the folder that ca.crt is written to, for those who have to trust it.
	Data string
	Now  func() time.Time
	Log  logrus.FieldLogger
}

// Open reads the authority from the database, and makes it the first time.
func Open(ctx context.Context, s *store.Store, options Options) (*PKI, error) {
	verified, err := lru.New[[sha256.Size]byte, struct{}](maxVerified)
	if err != nil {
		return nil, err
	}
	p := &PKI{now: options.Now, log: options.Log, verified: verified}
	text, err := s.Key(ctx, "ca", p.newAuthority)
	if err != nil {
		return nil, err
	}
	if err := p.read(text); err != nil {
		return nil, fmt.Errorf("certificate authority in the database: %w", err)
	}
	p.pool = x509.NewCertPool()
	p.pool.AddCert(p.authority)
	p.trusted = p.authority
	p.server = &ownServer{pki: p, names: options.Names}
	if options.Files != (Files{}) {
		files := &fileServer{pki: p, files: options.Files}
		if p.trusted, err = files.open(); err != nil {
			return nil, err
		}
		p.server = files
	}
	if _, err := p.server.certificate(); err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.trusted.Raw})
	return p, os.WriteFile(filepath.Join(options.Data, "ca.crt"), public, 0o644) //nolint:gosec // G306: it is public
}

// newAuthority makes the certificate authority, as PEM.
func (p *PKI) newAuthority() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := p.now()
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		// Two centrals' authorities must not have one name: who trusts both would mix them up.
		Subject:   pkix.Name{CommonName: "Portcullis CA " + rand.Text()[:8]},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

func (p *PKI) read(text []byte) error {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("its key is %T, not ECDSA", pair.PrivateKey)
	}
	p.key, p.authority = key, pair.Leaf
	return nil
}

// newSerial is 128 random bits.
func newSerial() *big.Int {
	bytes := make([]byte, 16)
	_, _ = rand.Read(bytes) // never fails
	return new(big.Int).SetBytes(bytes)
}

// sign makes a certificate for the public key, good for life.
func (p *PKI) sign(template *x509.Certificate, public any, life time.Duration) ([]byte, error) {
	now := p.now()
	template.SerialNumber = newSerial()
	template.NotBefore, template.NotAfter = now.Add(-skew), now.Add(life)
	if template.NotAfter.After(p.authority.NotAfter) {
		template.NotAfter = p.authority.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	return x509.CreateCertificate(rand.Reader, template, p.authority, public, p.key)
}

// Authorities are the certificates, DER, by which others know the server.
func (p *PKI) Authorities() [][]byte { return [][]byte{p.trusted.Raw} }

// Fingerprint is of Authorities' certificate: SHA-256 in hexadecimal digits.
func (p *PKI) Fingerprint() string {
	sum := sha256.Sum256(p.trusted.Raw)
	return hex.EncodeToString(sum[:])
}

// TLSConfig is the server's. Callers may have a certificate; one that is not of our authority ends
// the handshake. One that has expired does not: see NodeID.
func (p *PKI) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		// Small records make a page's first bytes come sooner, and a bundle for 10,000 nodes many more writes.
		DynamicRecordSizingDisabled: true,
		// Nodes keep no sessions, and people's browsers hardly notice: tickets would be made for each connection in vain.
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.server.certificate() },
		ClientAuth:             tls.RequestClientCert,
		ClientCAs:              p.pool,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			_, _, err := p.NodeID(state.PeerCertificates[0])
			return err
		},
	}
}

var errForeign = errors.New("the client certificate was not given by this central; join the node again")

// KeyFingerprint is of the public key of Authorities' certificate, as join tokens carry it: SHA-256 of its
// SubjectPublicKeyInfo in hexadecimal digits.
func (p *PKI) KeyFingerprint() string {
	sum := sha256.Sum256(p.trusted.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
