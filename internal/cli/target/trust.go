package target

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

const dialTimeout = 10 * time.Second

// maxAuthority bounds a file of certificates.
const maxAuthority = 1 << 20

// ReadAuthority returns the certificates of a PEM file, which holds at least one.
func ReadAuthority(path string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // G703: the caller names a file of their own
	if err != nil {
		return "", err
	}
	if len(text) > maxAuthority {
		return "", fmt.Errorf("%s is too large to be a certificate authority's certificate", path)
	}
	var kept []byte // without a key that may stand beside
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			kept = append(kept, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	if !x509.NewCertPool().AppendCertsFromPEM(kept) {
		return "", fmt.Errorf("%s holds no certificate in PEM form; take ca.crt of central's data folder", path)
	}
	return string(kept), nil
}

// Presented is what a central shows of itself before anybody trusts it.
type Presented struct {
	host  string
	chain []*x509.Certificate
}

// Present asks the central at address for its certificates. Nothing but the handshake is done, and
// nothing is sent.
func Present(ctx context.Context, address string) (*Presented, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	port := parsed.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: parsed.Hostname(), MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // G402: the certificates are what is asked for; Authority and Known judge them
	}}
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(parsed.Hostname(), port))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	state := connection.(*tls.Conn).ConnectionState()
	return &Presented{parsed.Hostname(), state.PeerCertificates}, nil
}

// Known reports whether the machine trusts it already.
func (p *Presented) Known() bool { return p.verify(nil) == nil }

// Root is the certificate at the top: its fingerprint is what people compare.
func (p *Presented) Root() *x509.Certificate { return p.chain[len(p.chain)-1] }

// Authority returns, as PEM, the certificate of that fingerprint, once it is certain that it vouches for
// the central.
func (p *Presented) Authority(fingerprint string) (string, error) {
	fingerprint, err := ParseFingerprint(fingerprint)
	if err != nil {
		return "", err
	}
	for _, certificate := range p.chain {
		if Fingerprint(certificate) != fingerprint {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		if err := p.verify(roots); err != nil {
			return "", fmt.Errorf("its certificate cannot be trusted: %w", err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})), nil
	}
	return "", fmt.Errorf("the authority has the fingerprint %s, not %s: this is another central, or somebody in between pretends to be it; nothing was sent", Fingerprint(p.Root()), fingerprint)
}

func (p *Presented) verify(roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, certificate := range p.chain[1:] {
		between.AddCert(certificate)
	}
	_, err := p.chain[0].Verify(x509.VerifyOptions{DNSName: p.host, Roots: roots, Intermediates: between})
	return err
}

// Fingerprint is SHA-256 in hexadecimal digits, as central logs it at its start.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// ParseFingerprint takes what central logs and what openssl prints.
func ParseFingerprint(text string) (string, error) {
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(strings.ToLower(text), "sha256:")))
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
		return "", errors.New("that is not a fingerprint: write 64 hexadecimal digits, as central logs them at its start after authority=")
	}
	return digits, nil
}

// roots returns nil for what the machine trusts.
func (c *Context) roots() (*x509.CertPool, error) {
	if c.CertificateAuthority == "" {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bytes.TrimSpace([]byte(c.CertificateAuthority))) {
		return nil, fmt.Errorf("the certificate authority of context %q holds no certificate in PEM form; log in anew", c.Name)
	}
	return roots, nil
}
