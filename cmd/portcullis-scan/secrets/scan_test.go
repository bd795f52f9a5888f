package secrets

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/scanner-client/verdict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func show(t *testing.T, s *Scan, file rootfs.File, content string) {
	t.Helper()
	file.Size = int64(len(content))
	w, err := s.Inspect(file)
	require.NoError(t, err)
	if w == nil {
		return
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{strings.NewReader(content)}, make([]byte, 10_000))
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

// fromConfig is what a scan finds in a config.
func fromConfig(config *v1.ConfigFile) []verdict.Secret {
	s := NewScan()
	s.Config(config)
	found, _ := s.Findings()
	return found
}

// rulesByPath is what a scan found, by path.
func rulesByPath(s *Scan) map[string][]string {
	found := map[string][]string{}
	list, _ := s.Findings()
	for _, secret := range list {
		found[secret.Path] = append(found[secret.Path], secret.Rule)
	}
	return found
}

func TestASecretOnTheEdgeOfTwoWindowsIsFound(t *testing.T) {
	s := NewScan()
	key := pemKey(t)
	line := strings.Repeat("x", 99) + "\n"
	for name, where := range map[string]int{"first": window - 500, "second": 2*window - overlap - 100, "start": 0, "end": 3*window - overlap} {
		text := strings.Repeat(line, 4*window/100)
		where -= where % 100
		show(t, s, rootfs.File{Path: name}, text[:where]+key+text[where:])
	}
	show(t, s, rootfs.File{Path: "clean"}, strings.Repeat(line, 4*window/100))
	require.Equal(t, map[string][]string{"first": {"privatekey"}, "second": {"privatekey"}, "start": {"privatekey"}, "end": {"privatekey"}}, rulesByPath(s))
}

func TestAStrayByteDoesNotHideSecretsOfAFile(t *testing.T) {
	key := pemKey(t)
	utf16 := func(text string) string {
		var wide strings.Builder
		for _, b := range []byte(text) {
			wide.WriteByte(b)
			wide.WriteByte(0)
		}
		return wide.String()
	}
	random := make([]byte, 3*window)
	rand.NewChaCha8([32]byte{}).Read(random)
	for name, content := range map[string]string{
		"a zero byte in front":          "\x00" + key,
		"a zero byte behind":            key + "\x00",
		"a zero byte in a comment":      "# caf\x00\u00e9\xff\x1b[0m\n" + key,
		"in a program":                  "\x7fELF\x02\x00\x00\x00" + string(random[:5000]) + key + string(random[5000:9000]),
		"at the end of a large program": string(random) + key,
		"on the edge of two windows":    string(random[:window-300]) + key + string(random[:5000]),
		"little-endian UTF-16":          "\xff\xfe" + utf16(key),
		"big-endian UTF-16":             "\xfe\xff\x00" + strings.TrimSuffix(utf16(key), "\x00"),
		"UTF-16 in a program":           string(random[:4001]) + utf16(key) + string(random[:4001]),
	} {
		t.Run(name, func(t *testing.T) {
			s := NewScan()
			show(t, s, rootfs.File{Path: "x"}, content)
			require.Equal(t, map[string][]string{"x": {"privatekey"}}, rulesByPath(s))
		})
	}
	s := NewScan()
	show(t, s, rootfs.File{Path: "app/.env"}, "A=b\x00\nDB_PASSWORD=correct-horse\x00\n")
	require.Equal(t, map[string][]string{"app/.env": {"env-file-password"}}, rulesByPath(s))
}

func TestBinaryFilesWithoutTextAreNoSecrets(t *testing.T) {
	random := make([]byte, 4*window)
	rand.NewChaCha8([32]byte{7}).Read(random)
	s := NewScan()
	show(t, s, rootfs.File{Path: "random"}, string(random))
	show(t, s, rootfs.File{Path: "zeros"}, strings.Repeat("\x00", 2*window+1))
	show(t, s, rootfs.File{Path: "usr/bin/ssh"}, "\x7fELF\x00-----BEGIN OPENSSH PRIVATE KEY-----\n\x00error in key\x00-----END OPENSSH PRIVATE KEY-----\n\x00")
	show(t, s, rootfs.File{Path: "usr/bin/node"}, "\x7fELF\x00"+strings.Repeat("AGFzbQEAAAABeg"+chars(base62, 60), 100))
	require.Empty(t, rulesByPath(s))
}

func TestKeyStores(t *testing.T) {
	s := NewScan()
	java := func(tag byte) string {
		return "\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00" + string(tag) + strings.Repeat("\x00", 100)
	}
	show(t, s, rootfs.File{Path: "etc/server.jks"}, java(1))
	show(t, s, rootfs.File{Path: "usr/lib/jvm/lib/security/cacerts"}, java(2))
	show(t, s, rootfs.File{Path: "etc/a", Links: []string{"etc/client.P12"}}, "\x30\x82\x09\x00"+strings.Repeat("\x00\x01", 500))
	show(t, s, rootfs.File{Path: "etc/server.key"}, string(ecKey(t))+"\x00")
	show(t, s, rootfs.File{Path: "etc/key.der"}, string(ecKey(t)))
	show(t, s, rootfs.File{Path: "usr/bin/program"}, "\x7fELF\x00\x01\x02plain text\x00")
	show(t, s, rootfs.File{Path: "etc/cert.der"}, "\x30\x82\x01\x00"+strings.Repeat("\x00", 200))
	found := rulesByPath(s)
	delete(found, "etc/server.key") // trailing bytes: some parsers take it
	require.Equal(t, map[string][]string{"etc/server.jks": {"key-store"}, "etc/a": {"key-store"}, "etc/key.der": {"privatekey"}}, found)
}

func TestWhatTheConfigAndTheHistoryTell(t *testing.T) {
	secret := chars(base62, 16)
	token := githubToken("ghp_", 30)
	for name, c := range map[string]struct {
		config  v1.Config
		history []string
		want    []string // rule type level, in order
	}{
		"password in ENV":             {config: v1.Config{User: "1", Env: []string{"PATH=/bin", "DB_PASSWORD=" + secret + " with spaces"}}, want: []string{"password-in-variable risky-build-history High"}},
		"token in ENV":                {config: v1.Config{User: "1", Env: []string{"GITHUB_TOKEN=" + token}}, want: []string{"githubclassicpat vcs-token High"}},
		"token under a harmless name": {config: v1.Config{User: "1", Env: []string{"X=" + token}}, want: []string{"githubclassicpat vcs-token High"}},
		"URL in ENV":                  {config: v1.Config{User: "1", Env: []string{"DATABASE_URL=postgres://u:" + secret + "@db/x"}}, want: []string{"url-login database-credential High"}},
		"in the start command":        {config: v1.Config{User: "1", Cmd: []string{"serve", "--admin-password", secret}}, want: []string{"password-option risky-build-history High"}},
		"in a label":                  {config: v1.Config{User: "1", Labels: map[string]string{"x": token}}, want: []string{"githubclassicpat vcs-token High"}},
		"harmless variables": {config: v1.Config{User: "1", Env: []string{
			"GPG_KEY=" + chars(hexa, 40), "PWD=/app", "TOKEN_FILE=/run/x", "PASSWORD=$OTHER", "SECRET=", "REQUIRE_TOKEN=true", "SECRET_PATH=x", "KEYCLOAK_VERSION=1",
		}}},
		"root":                   {config: v1.Config{}, want: []string{"root-start-user risky-build-history Low"}},
		"password in a label":    {config: v1.Config{User: "1", Labels: map[string]string{"com.example.db_password": secret}}, want: []string{"password-in-variable risky-build-history High"}},
		"in the health check":    {config: v1.Config{User: "1", Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "curl", "-u", "ci:" + secret, "http://localhost"}}}, want: []string{"curl-login risky-build-history High"}},
		"in a step for later":    {config: v1.Config{User: "1", OnBuild: []string{"RUN API_TOKEN=" + secret + " make"}}, want: []string{"password-in-variable risky-build-history High"}},
		"root with a sign":       {config: v1.Config{User: "+0"}, want: []string{"root-start-user risky-build-history Low"}},
		"root by number":         {config: v1.Config{User: "0:0"}, want: []string{"root-start-user risky-build-history Low"}},
		"not root":               {config: v1.Config{User: "1000"}},
		"ARG of BuildKit":        {config: v1.Config{User: "1"}, history: []string{"ARG API_TOKEN=" + secret, "RUN |1 API_TOKEN=" + secret + " /bin/sh -c make # buildkit"}, want: []string{"password-in-variable risky-build-history High"}},
		"ENV of the old docker":  {config: v1.Config{User: "1", Env: []string{"MY_SECRET=" + secret}}, history: []string{"/bin/sh -c #(nop)  ENV MY_SECRET=" + secret}, want: []string{"password-in-variable risky-build-history High"}},
		"chpasswd":               {config: v1.Config{User: "1"}, history: []string{`RUN /bin/sh -c echo "root:` + secret + `" | chpasswd # buildkit`}, want: []string{"chpasswd risky-build-history High"}},
		"chpasswd from a string": {config: v1.Config{User: "1"}, history: []string{`RUN chpasswd -e <<< 'root:` + secret + `'`}, want: []string{"chpasswd risky-build-history High"}},
		"chpasswd from a file":   {config: v1.Config{User: "1"}, history: []string{`RUN chpasswd < /run/secrets/p`}, want: []string{"chpasswd risky-build-history Medium"}},
		"curl":                   {config: v1.Config{User: "1"}, history: []string{"RUN curl -fsS -u ci:" + secret + " https://example.com/x"}, want: []string{"curl-login risky-build-history High"}},
		"a header":               {config: v1.Config{User: "1"}, history: []string{"RUN wget --header 'Authorization: Bearer " + secret + "' https://example.com"}, want: []string{"authorization risky-build-history High"}},
		"sshpass":                {config: v1.Config{User: "1"}, history: []string{"RUN sshpass -p " + secret + " scp a b:"}, want: []string{"sshpass risky-build-history High"}},
		"mysql":                  {config: v1.Config{User: "1"}, history: []string{"RUN mysql -u root -p" + secret + " -e x"}, want: []string{"mysql-password risky-build-history High"}},
		"build without secrets":  {config: v1.Config{User: "1"}, history: []string{"RUN apt-get install -y mysql-client -p", "COPY file:abc in /", "RUN useradd -m app && echo $PASSWORD | passwd --stdin app", "RUN git clone https://github.com/a/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := &v1.ConfigFile{Config: c.config}
			for _, step := range c.history {
				file.History = append(file.History, v1.History{CreatedBy: step})
			}
			var got []string
			for _, found := range fromConfig(file) {
				got = append(got, found.Rule+" "+found.Type+" "+found.Level.String())
				require.NotEmpty(t, found.History)
			}
			require.Equal(t, c.want, got)
			all, err := json.Marshal(fromConfig(file))
			require.NoError(t, err)
			require.NotContains(t, string(all), secret)
			require.NotContains(t, string(all), token)
		})
	}
}

func TestTheHistoryTellsWhereTheSecretIs(t *testing.T) {
	secret := chars(base62, 16)
	found := fromConfig(&v1.ConfigFile{
		Config:  v1.Config{Env: []string{"DB_PASSWORD=" + secret}, User: "1"},
		History: []v1.History{{CreatedBy: "COPY a b"}, {CreatedBy: `RUN echo "root:x` + secret + `" | chpasswd`}},
	})
	shown := secret[:4] + "********"
	require.Equal(t, []string{"ENV DB_PASSWORD=" + shown, "step 2, RUN: chpasswd x" + secret[:3] + "********"}, []string{found[0].History, found[1].History})
}

// FuzzTextNeverMakesARuleFail looks for texts that make a detector panic.
func FuzzTextNeverMakesARuleFail(f *testing.F) {
	f.Add("AKIA", "ghp_ -----BEGIN PRIVATE KEY----- eyJ.eyJ. primaryKeyId {")
	f.Fuzz(func(t *testing.T, path, text string) {
		for _, found := range textFindings(rootfs.File{Path: path}, []byte(text)) {
			report := found.report()
			require.LessOrEqual(t, len([]rune(report.Redacted)), shown+len(hidden))
		}
		for _, found := range fromConfig(&v1.ConfigFile{Config: v1.Config{Env: []string{text}}, History: []v1.History{{CreatedBy: text}}}) {
			require.GreaterOrEqual(t, found.Level, verdict.Low)
		}
	})
}
