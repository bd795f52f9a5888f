package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"portcullis/e2e/lab"
)

// eicar is the industry's harmless test file, put together here so that no scanner takes this file for it.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-` + `ANTIVIRUS-TEST-FILE!$H+H*`

const noMalwareNoSecrets = `apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: nothing found}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {malware: {}, secrets: {levels: [Critical, High]}}
  scope: {images: {all: true}}
`

// scanner is a clamd that knows the test file, and advisories that know nothing. clamd ends with the test.
func (n *node) scanner() *lab.Scanner {
	t := n.t
	clamd, err := lab.StartClamd(n.Node+"-clamd", map[string]string{"Eicar-Test-Signature": eicar})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, clamd.Stop()) })
	advisories := t.TempDir()
	require.NoError(t, lab.WriteAdvisories(advisories, map[string]map[string]string{"Go": {}}))
	return &lab.Scanner{Clamd: clamd, Advisories: advisories, Runtime: n.containerd.Socket}
}

func TestWhatAScanFindsIsBlockedAndNeverShown(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	password := rand.Text()
	onEachRuntime(t, noMalwareNoSecrets, func(n *node) {
		scanner := n.scanner()
		for name, c := range map[string]struct {
			content lab.Content
			finding string // "" for none
		}{
			"clean":    {lab.Content{}, ""},
			"infected": {lab.Content{Files: map[string]string{"opt/tool": eicar}}, "test-file Eicar-Test-Signature.UNOFFICIAL at opt/tool"},
			"leaking":  {lab.Content{Files: map[string]string{"root/.ssh/id_rsa": secret}}, "private-key at root/.ssh/id_rsa"},
			"careless": {lab.Content{Env: []string{"DB_PASSWORD=" + password}}, "risky-build-history at ENV DB_PASSWORD="},
		} {
			c.content.Arguments = []string{"print", "hello"}
			image, err := world.images.Make(n.Node+" "+name, c.content)
			require.NoError(n.t, err)
			reference, err := world.registry.Push(n.Node+"/"+name+":v1", image)
			require.NoError(n.t, err)
			id := n.pull(reference)
			require.NoError(n.t, scanner.Scan(reference, n.Reports))

			container := lab.Container{Name: "web", Image: id, Reference: reference}
			pod := n.pod(lab.Pod{Name: name})
			if c.finding == "" {
				n.runs(pod, container)
				continue
			}
			n.eventually(pod, container, codes.PermissionDenied)
			_, err = n.cri.Create(n.ctx, pod, container)
			require.Contains(n.t, n.refused(err), c.finding)
		}
		n.events()
		n.neverSays(password, strings.Split(secret, "\n")[1])
	})
}

// neverSays searches everything that the node has written for secrets.
func (n *node) neverSays(secrets ...string) {
	n.t.Helper()
	entries, err := world.journal.Entries("PORTCULLIS_NODE=" + n.Node)
	require.NoError(n.t, err)
	texts := []string{n.Log()}
	for _, entry := range entries {
		for _, value := range entry {
			texts = append(texts, value)
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(n.Reports), "*", "*"))
	require.NoError(n.t, err)
	require.NotEmpty(n.t, files)
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(n.t, err)
		texts = append(texts, string(text))
	}
	for _, secret := range secrets {
		for _, text := range texts {
			require.NotContains(n.t, text, secret)
		}
	}
}
