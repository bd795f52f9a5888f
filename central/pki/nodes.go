package pki

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
)

// maxRequest is far above the length of a request with any key that is taken.
const maxRequest = 16 << 10

// nodeScheme is of the URI in a node's certificate: portcullis-node:ID.
const nodeScheme = "portcullis-node"

// ErrRequest says that a certificate request cannot be granted.
var ErrRequest = errors.New("certificate request")

// Issue makes a client certificate, DER, that says its holder is the node. Only the key of the PKCS #10
// request counts; the error is ErrRequest when it is unfit.
func (p *PKI) Issue(request []byte, nodeID string) ([]byte, error) {
	if len(request) > maxRequest {
		return nil, fmt.Errorf("%w: is %d bytes, at most %d are taken", ErrRequest, len(request), maxRequest)
	}
	parsed, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := checkKey(parsed.PublicKey); err != nil {
		return nil, err
	}
	if err := parsed.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return p.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: nodeID},
		URIs:        []*url.URL{{Scheme: nodeScheme, Opaque: nodeID}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parsed.PublicKey, NodeLife)
}

func checkKey(key any) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= 2048 && bits <= 4096 {
			return nil
		}
	}
	return fmt.Errorf("%w: its key is not taken; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits", ErrRequest)
}

// NodeID says which node the certificate belongs to, and whether it has expired: after central was away
// for long a node may still prove by it who it is, but only to renew it. Whether the node is a member
// still, the caller asks elsewhere.
func (p *PKI) NodeID(certificate *x509.Certificate) (id string, expired bool, err error) {
	now := p.now()
	expired = now.After(certificate.NotAfter)
	if expired {
		now = certificate.NotAfter
	}
	sum := sha256.Sum256(certificate.Raw)
	if p.verified.Contains(sum) && !now.Before(certificate.NotBefore) {
		return certificate.URIs[0].Opaque, expired, nil
	}
	_, err = certificate.Verify(x509.VerifyOptions{
		Roots: p.pool, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil || len(certificate.URIs) != 1 || certificate.URIs[0].Scheme != nodeScheme {
		return "", false, errForeign
	}
	p.verified.Add(sum, struct{}{})
	return certificate.URIs[0].Opaque, expired, nil
}
