package centralapp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portcullis/internal/centralapp"
)

func read(t *testing.T, text string) (centralapp.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "central.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return centralapp.ReadConfig(file, "")
}

func TestAllMistakesAreToldAtOnceAndWhere(t *testing.T) {
	_, err := read(t, `listen: "8443"
url: http://central
data: data
database: mysql://u:geheim@h/d
names: ["a/b"]
tls: {key: /k}
sessions: {idle: 1s, lifetime: 1h}
oidc: {issuer: http://idp, roles: {boss: [a]}}
events: {retention: 1h}
audit: {retention: 87601h}
timeouts: {drain: 0s}
metrics: {address: x}
log: {level: loud, format: xml, colour: red}
lisen: :1
`)
	require.Error(t, err)
	for _, field := range []string{
		"listen", "url", "data", "database", "names[0]", "tls.certificate", "tls.authority", "sessions.idle", "oidc.issuer", "oidc.clientID",
		"oidc.roles.boss", "events.retention", "audit.retention", "timeouts.drain", "metrics.address", "log.level", "log.format", "log.colour", "lisen",
	} {
		require.Contains(t, err.Error(), ": "+field+": ", err.Error())
	}
	require.NotContains(t, err.Error(), "geheim")
}

func TestUnknownKeysAndSecondDocumentsAreMistakes(t *testing.T) {
	for text, want := range map[string]string{"lisen: :1\n": "lisen", "listen: :1\n---\nlisten: :2\n": "second document", "": "empty"} {
		_, err := read(t, text)
		require.ErrorContains(t, err, want)
	}
}

func TestAFileThatIsNamedHasToBeThere(t *testing.T) {
	_, err := centralapp.ReadConfig("/nowhere/central.yaml", "")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheDatabaseIsInTheDataFolderUnlessNamed(t *testing.T) {
	config, err := read(t, "data: /srv/p\n")
	require.NoError(t, err)
	require.Equal(t, "sqlite:/srv/p/central.db", config.Database)
	config, err = read(t, "database: postgres://u@h/d\n")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(config.Database, "postgres:"))
}

func TestOIDCNeedsLittle(t *testing.T) {
	config, err := read(t, "url: https://central.example.com\noidc: {issuer: \"https://idp\", clientID: portcullis}\n")
	require.NoError(t, err)
	require.Equal(t, "email", config.OIDC.NameClaim)
	require.Equal(t, "groups", config.OIDC.RolesClaim)
	_, err = read(t, "oidc: {issuer: \"https://idp\", clientID: portcullis}\n")
	require.ErrorContains(t, err, "url: required with oidc")
}
