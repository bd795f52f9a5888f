package uplink

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
)

// Joining is what a node needs to join central.
type Joining struct {
	Address string // of central
	Token   string
	Dir     string // where the certificate is kept
	Info    *portcullisv1.NodeInfo
	Now     func() time.Time // default time.Now
}

// tokenForm is a join token: its name, its secret, and the SHA-256 of the public key of central's authority.
var tokenForm = regexp.MustCompile(`^pcj_[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}\.([0-9a-f]{64})$`)

// ErrJoined says that the node has a certificate already.
var ErrJoined = errors.New("this node has joined already")

// Join makes a key, has it certified by central and keeps both in Dir. It talks to nobody whose authority is
// not the one that the token names. It returns the node's ID.
func Join(ctx context.Context, j Joining) (string, error) {
	if j.Now == nil {
		j.Now = time.Now
	}
	if err := CheckAddress(j.Address); err != nil {
		return "", err
	}
	parts := tokenForm.FindStringSubmatch(j.Token)
	if parts == nil {
		return "", errors.New("this is not a join token; it has the form pcj_ID.SECRET.FINGERPRINT, and central shows it when it is made")
	}
	if id, err := readIdentity(j.Dir); err == nil && j.Now().Before(id.leaf.NotAfter) {
		return "", fmt.Errorf("%w, as %s; remove %s first if it is to join anew", ErrJoined, id.leaf.Subject.CommonName, identityFile(j.Dir))
	}
	if err := os.MkdirAll(j.Dir, 0o700); err != nil {
		return "", err
	}
	key, request, err := newKey(j.Info.GetName())
	if err != nil {
		return "", err
	}
	host, _ := url.Parse(j.Address) // CheckAddress has parsed it
	connection := connectWith(j.Address, pinned(host.Hostname(), parts[1], j.Now))
	defer connection.close()
	answer, err := connection.client.Join(ctx, &portcullisv1.JoinRequest{Token: j.Token, CertificateRequest: request, Info: j.Info})
	if err != nil {
		return "", fmt.Errorf("central: %w", err)
	}
	id, err := certified(key, answer.GetCertificate(), answer.GetAuthorities())
	if err != nil {
		return "", err
	}
	return answer.GetNodeId(), id.write(j.Dir)
}

// pinned trusts the authority with this fingerprint and no other.
func pinned(host, fingerprint string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error {
			roots, others := x509.NewCertPool(), x509.NewCertPool()
			found := false
			for _, c := range state.PeerCertificates {
				sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
				if c.IsCA && subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(fingerprint)) == 1 {
					roots.AddCert(c)
					found = true
				} else {
					others.AddCert(c)
				}
			}
			if !found {
				return errors.New("this is not the central that the token is for: its certificate is from another authority")
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: others, CurrentTime: now()})
			return err
		},
	}
}
