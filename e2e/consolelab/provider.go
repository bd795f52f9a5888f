package main

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/oauth2-proxy/mockoidc"

	"portcullis/e2e/lab"
)

// startProvider starts an OpenID provider, where everybody is jane.doe@example.com of the group engineering at once,
// and returns the settings that make such people viewers.
func (w *world) startProvider() (settings string, err error) {
	dir, err := lab.Dir("provider")
	if err != nil {
		return "", err
	}
	certified := httptest.NewTLSServer(nil) // for its certificate only
	defer certified.Close()
	authority, secret := filepath.Join(dir, "authority.pem"), filepath.Join(dir, "secret")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		return "", fmt.Errorf("OpenID provider: %w", err)
	}
	if w.provider, err = mockoidc.NewServer(nil); err != nil {
		return "", fmt.Errorf("OpenID provider: %w", err)
	}
	if err := os.WriteFile(secret, []byte(w.provider.ClientSecret), 0o600); err != nil {
		return "", fmt.Errorf("OpenID provider: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("OpenID provider: %w", err)
	}
	// It serves what it is given, and takes the configuration for its own address only.
	if err := w.provider.Start(tls.NewListener(listener, certified.TLS), certified.TLS); err != nil {
		return "", fmt.Errorf("OpenID provider: %w", err)
	}
	return fmt.Sprintf("oidc: {name: Company, issuer: %q, clientID: %q, clientSecretFile: %s, authority: %s, scopes: [openid, email, profile, groups], roles: {viewer: [engineering]}}\n",
		w.provider.Issuer(), w.provider.ClientID, secret, authority), nil
}
