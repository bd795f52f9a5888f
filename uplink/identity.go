package uplink

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/internal/atomicfile"
)

// ErrNotJoined says that the node has no certificate.
var ErrNotJoined = errors.New("this node has not joined central; run portcullisd join")

// identity is who the node is to central, and whom it takes for central.
type identity struct {
	certificate tls.Certificate
	leaf        *x509.Certificate
	authorities []*x509.Certificate
}

// identityFile holds key, certificate and authorities: one file, so that they always belong together.
func identityFile(dir string) string { return filepath.Join(dir, "identity.pem") }

func readIdentity(dir string) (*identity, error) {
	data, err := os.ReadFile(identityFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotJoined
	}
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	var key *ecdsa.PrivateKey
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			c, err = x509.ParseCertificate(block.Bytes)
			certificates = append(certificates, c)
		}
		if err != nil {
			return nil, fmt.Errorf("node certificate: %s: %w; join anew", identityFile(dir), err)
		}
	}
	if key == nil || len(certificates) < 2 {
		return nil, fmt.Errorf("node certificate: %s is not complete; join anew", identityFile(dir))
	}
	return newIdentity(key, certificates[0], certificates[1:])
}

func newIdentity(key *ecdsa.PrivateKey, leaf *x509.Certificate, authorities []*x509.Certificate) (*identity, error) {
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("node certificate: is not for the node's key")
	}
	return &identity{tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, leaf, authorities}, nil
}

func (i *identity) write(dir string) error {
	key, err := x509.MarshalECPrivateKey(i.certificate.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: "EC PRIVATE KEY", Bytes: key}) // a buffer takes everything
	for _, c := range append([]*x509.Certificate{i.leaf}, i.authorities...) {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return atomicfile.Write(identityFile(dir), text.Bytes())
}

// newKey makes a key and the request to certify it.
func newKey(name string) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	return key, request, err
}

// certified makes an identity of what central has answered.
func certified(key *ecdsa.PrivateKey, certificate []byte, authorities [][]byte) (*identity, error) {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate from central: %w", err)
	}
	var trusted []*x509.Certificate
	for _, der := range authorities {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("authority from central: %w", err)
		}
		trusted = append(trusted, c)
	}
	if len(trusted) == 0 {
		return nil, errors.New("central has named no authority")
	}
	return newIdentity(key, leaf, trusted)
}

// renewal is when a certificate is replaced: at two thirds of its life, or a little later, so that nodes
// which joined together do not come together.
func (i *identity) renewal() time.Time {
	life := i.leaf.NotAfter.Sub(i.leaf.NotBefore)
	return i.leaf.NotBefore.Add(life*2/3 + vary(life/20))
}

// renew gets a new certificate for a new key when it is time, and then ends the session.
func (u *Uplink) renew(ctx context.Context, c portcullisv1connect.SyncServiceClient, id *identity) error {
	due := id.renewal()
	for u.options.Now().Before(due) {
		if ctx.Err() != nil {
			return nil
		}
		wait(ctx, min(due.Sub(u.options.Now()), u.options.Times.State), nil) // clocks jump, so look now and then
	}
	if err := u.insist(ctx, "Renew", func(ctx context.Context) error { return u.replace(ctx, c, id) }); err != nil {
		return err
	}
	return errRenewed
}

// renewExpired is for a node that has been away for so long that its certificate has expired. Central renews it
// even then.
func (u *Uplink) renewExpired(ctx context.Context, address string, id *identity, now time.Time) error {
	connection := dial(address, id, u.options.Now)
	defer connection.close()
	ctx, cancel := context.WithTimeout(ctx, u.options.Times.Call)
	defer cancel()
	if err := u.replace(ctx, connection.client, id); err != nil {
		return fmt.Errorf("the node's certificate has expired on %s, this machine's clock says %s, and it cannot be renewed: %w",
			id.leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339), err)
	}
	return errRenewed
}

// replace puts a new key and certificate in the place of id.
func (u *Uplink) replace(ctx context.Context, c portcullisv1connect.SyncServiceClient, id *identity) error {
	key, request, err := newKey(id.leaf.Subject.CommonName)
	if err != nil {
		return err
	}
	answer, err := c.Renew(ctx, &portcullisv1.RenewRequest{CertificateRequest: request})
	if err != nil {
		return err
	}
	renewed, err := certified(key, answer.GetCertificate(), answer.GetAuthorities())
	if err != nil {
		return err
	}
	if err := renewed.write(u.options.Dir); err != nil {
		return err
	}
	u.options.Log.WithField("until", renewed.leaf.NotAfter).Info("the node's certificate was renewed")
	return nil
}
