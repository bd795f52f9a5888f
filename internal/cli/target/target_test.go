package target_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/internal/cli/target"
)

func home(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, name := range []string{"PORTCULLIS_ADDRESS", "PORTCULLIS_TOKEN", "PORTCULLIS_CA"} {
		t.Setenv(name, "")
	}
}

func TestASavedTokenIsNotForAnotherAddress(t *testing.T) {
	home(t)
	config := &target.Config{}
	config.Put(target.Context{Name: "a", Address: "https://a", Token: "secret"})
	require.NoError(t, config.Write())
	to, err := target.Resolve("")
	require.NoError(t, err)
	require.Equal(t, "secret", to.Token)

	t.Setenv("PORTCULLIS_ADDRESS", "https://b")
	to, err = target.Resolve("")
	require.NoError(t, err)
	require.Equal(t, target.Context{Address: "https://b"}, to)
	_, err = target.Resolve("a")
	require.ErrorContains(t, err, "--context and PORTCULLIS_ADDRESS both name a central")
}

func TestATokenDoesNotFollowARedirect(t *testing.T) {
	var elsewhere []string
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.URL.Path) }))
	defer other.Close()
	server := httptest.NewTLSServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	central, err := target.Connect(target.Context{Address: server.URL, Token: "secret", CertificateAuthority: authority}, "test")
	require.NoError(t, err)
	defer central.Close()
	_, err = central.Sessions.GetSession(context.Background(), &portcullisv1.GetSessionRequest{})
	require.Error(t, err)
	require.Empty(t, elsewhere)
}

func TestAFingerprintIsOfWhatVouchesForThisVeryName(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	presented, err := target.Present(context.Background(), server.URL)
	require.NoError(t, err)
	require.False(t, presented.Known())
	fingerprint := target.Fingerprint(presented.Root())
	authority, err := presented.Authority(strings.ToUpper("SHA256:" + fingerprint[:2] + ":" + fingerprint[2:]))
	require.NoError(t, err)
	require.Contains(t, authority, "BEGIN CERTIFICATE")

	// The test's certificate is for 127.0.0.1 and example.com.
	presented, err = target.Present(context.Background(), strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	require.NoError(t, err)
	_, err = presented.Authority(fingerprint)
	require.ErrorContains(t, err, "cannot be trusted")
}

func TestOnlyAddressesOfCentralsAreOnes(t *testing.T) {
	for text, want := range map[string]string{"central:8443": "https://central:8443", "https://c/": "https://c", "https://[::1]:8443": "https://[::1]:8443"} {
		address, err := target.ParseAddress(text)
		require.NoError(t, err)
		require.Equal(t, want, address)
	}
	for _, text := range []string{"", "http://c", "https://u:p@c", "https://c/path", "https://c?x", "ftp://c", "https://"} {
		_, err := target.ParseAddress(text)
		require.Error(t, err, text)
	}
}

func TestACertificateFileGivesNoKeyAway(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	file := filepath.Join(t.TempDir(), "both.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")})
	require.NoError(t, os.WriteFile(file, text, 0o600))
	_, err := target.ReadAuthority(file)
	require.ErrorContains(t, err, "holds no certificate in PEM form")
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	authority, err := target.ReadAuthority(file)
	require.NoError(t, err)
	require.NotContains(t, authority, "PRIVATE")
}
