package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// server gives the certificate for the next connection.
type server interface {
	certificate() (*tls.Certificate, error)
}

// ownServer signs its certificate itself, and again when a third of its life is left.
type ownServer struct {
	pki   *PKI
	names []string

	mu      sync.Mutex
	current *tls.Certificate
}

func (s *ownServer) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.pki.now().Before(s.current.Leaf.NotAfter.Add(-serverLife/3)) {
		return s.current, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "portcullis-central"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range s.allNames() {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := s.pki.sign(template, key.Public(), serverLife)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	// A node that joins knows the authority by its fingerprint only, so that is sent, too.
	s.current = &tls.Certificate{Certificate: [][]byte{der, s.pki.authority.Raw}, PrivateKey: key, Leaf: leaf}
	s.pki.log.WithField("expires", leaf.NotAfter.Format(time.RFC3339)).Info("server certificate made")
	return s.current, nil
}

func (s *ownServer) allNames() []string {
	names := slices.Concat(s.names, []string{"localhost", "127.0.0.1", "::1"})
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fileServer takes the certificate from files, and again whenever they change.
type fileServer struct {
	pki       *PKI
	files     Files
	authority *x509.Certificate

	mu      sync.Mutex
	seen    [2]time.Time // when the certificate and the key were changed
	current *tls.Certificate
}

// open reads everything the first time, and returns the authority.
func (s *fileServer) open() (*x509.Certificate, error) {
	text, err := os.ReadFile(s.files.Authority)
	if err != nil {
		return nil, fmt.Errorf("tls.authority: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("tls.authority: %s holds no certificate in PEM form", s.files.Authority)
	}
	if s.authority, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("tls.authority: %w", err)
	}
	s.seen = s.times()
	s.current, err = s.load()
	return s.authority, err
}

func (s *fileServer) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := s.times()
	if times == s.seen {
		return s.current, nil
	}
	s.seen = times
	loaded, err := s.load()
	if err != nil {
		s.pki.log.WithError(err).Error("changed server certificate cannot be used; the one before stays")
		return s.current, nil
	}
	s.current = loaded
	s.pki.log.WithField("expires", loaded.Leaf.NotAfter.Format(time.RFC3339)).Info("changed server certificate is in use")
	return s.current, nil
}

func (s *fileServer) times() (times [2]time.Time) {
	for i, file := range []string{s.files.Certificate, s.files.Key} {
		if info, err := os.Stat(file); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}

func (s *fileServer) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(s.files.Certificate, s.files.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.certificate and tls.key: %w", err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.authority)
	for _, der := range pair.Certificate[1:] {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(certificate)
		}
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: s.pki.now()})
	if err != nil {
		return nil, errors.Join(errors.New("tls.certificate is not good by tls.authority"), err)
	}
	if !slices.ContainsFunc(pair.Certificate, func(der []byte) bool { return slices.Equal(der, s.authority.Raw) }) {
		pair.Certificate = append(pair.Certificate, s.authority.Raw)
	}
	return &pair, nil
}
