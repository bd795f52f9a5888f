package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"portcullis/cmd/portcullis-scan/image/imagetest"
	"portcullis/cmd/portcullis-scan/malware/clamdtest"
	"portcullis/cmd/portcullis-scan/vulnerabilities/osvtest"
	"portcullis/scanner-client/verdict"
)

// run runs the command and returns what it wrote and its exit status.
func run(t *testing.T, arguments ...string) (stdout, stderr string, status int) {
	t.Helper()
	command := exec.Command(program(t), arguments...)
	var out, err bytes.Buffer
	command.Stdout, command.Stderr = &out, &err
	_ = command.Run()
	return out.String(), err.String(), command.ProcessState.ExitCode()
}

// tools are the flags for a database that knows openssl, lodash and requests, and for a clamd that knows EICAR.
func tools(t *testing.T) []string {
	t.Helper()
	db := osvtest.Write(t, osvtest.Advisories{
		"Debian": {osvtest.DebianOpenSSL}, "npm": {osvtest.Lodash}, "PyPI": {osvtest.Requests, osvtest.RequestsOfPyPA},
	})
	clamd := clamdtest.Start(t, clamdtest.Signatures{clamdtest.EICAR: "Eicar-Test-Signature"})
	return []string{"--osv-db", db, "--clamd", clamd, "--temp", t.TempDir()}
}

func key(t *testing.T) string {
	t.Helper()
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(made)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

const envPassword = "correct-horse-battery-staple"

// risky is an image with everything that the scanner is for, and its secrets.
func risky(t *testing.T) (v1.Image, []string) {
	t.Helper()
	private := key(t)
	img := imagetest.WithConfig(t, v1.Config{User: "1000", Env: []string{"DB_PASSWORD=" + envPassword}}, []string{"ENV DB_PASSWORD=" + envPassword, `RUN echo "root:Tr0ub4dor&3x" | chpasswd`},
		imagetest.Layer(t,
			imagetest.File("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
			imagetest.File("var/lib/dpkg/status", "Package: libssl3\nSource: openssl\nStatus: install ok installed\nVersion: 3.0.8-1\n\n"),
			imagetest.File("app/node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`),
			imagetest.File("usr/lib/python3/dist-packages/requests-2.30.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: requests\nVersion: 2.30.0\n\n")),
		imagetest.Layer(t, imagetest.File("tmp/eicar.com", clamdtest.EICAR), imagetest.File("root/.ssh/id_ecdsa", private)))
	return img, []string{envPassword, "Tr0ub4dor&3x", strings.Split(private, "\n")[1]}
}

// summary is the verdict in a few words.
func summary(t *testing.T, document string) (*verdict.Verdict, []string) {
	t.Helper()
	v, err := verdict.Read(strings.NewReader(document))
	require.NoError(t, err)
	var found []string
	for _, f := range v.Vulnerabilities {
		found = append(found, f.ID+" "+f.Package+" "+f.FixedVersion)
	}
	for _, f := range v.Malware {
		found = append(found, f.Type+" "+f.Path+" "+f.MD5)
	}
	for _, f := range v.Secrets {
		found = append(found, f.Type+" "+f.Path+f.History)
	}
	return v, found
}

func TestTheVerdictOfARiskyImage(t *testing.T) {
	img, secrets := risky(t)
	stdout, stderr, status := run(t, append(tools(t), imagetest.Save(t, img))...)
	require.Zero(t, status, stderr)
	v, found := summary(t, stdout)
	require.Equal(t, imagetest.ID(t, img), v.ImageID)
	require.Equal(t, verdict.Kinds(), v.Scanned)
	require.Equal(t, []string{
		"CVE-2021-23337 lodash 4.17.21", "CVE-2023-2650 libssl3 3.0.9-1", "CVE-2023-32681 requests 2.31.0",
		"test-file tmp/eicar.com 44d88612fea8a8f36de82e1278abb02f",
		"private-key root/.ssh/id_ecdsa", "risky-build-history ENV DB_PASSWORD=corr********", "risky-build-history step 2, RUN: chpasswd Tr0********",
	}, found)
	for _, secret := range secrets {
		require.NotContains(t, stdout+stderr, secret)
	}
	require.Contains(t, stderr, "CVE-2021-23337 in lodash 4.17.20, fixed in 4.17.21")
	require.NotContains(t, stderr, "\x1b", "escape codes where there is no terminal")
}

func TestExitStatusesForPipelines(t *testing.T) {
	img, _ := risky(t)
	file, with := imagetest.Save(t, img), tools(t)
	clean := imagetest.Save(t, imagetest.New(t, imagetest.Layer(t, imagetest.File("hello", "world"))))
	none := filepath.Join(t.TempDir(), "none")
	for what, c := range map[string]struct {
		arguments []string
		status    int
		stderr    string
	}{
		"findings without --fail-on":  {append(with, file), 0, ""},
		"findings below":              {append(with, "--fail-on", "Critical", "--kinds", "vulnerabilities", file), 0, "CVE-2021-23337"},
		"findings at":                 {append(with, "--fail-on", "High", file), 1, "CVE-2021-23337"},
		"findings above":              {append(with, "--fail-on", "Low", file), 1, "CVE-2021-23337"},
		"unknown counts as a finding": {append(with, "--fail-on", "Unknown", file), 1, ""},
		"clean":                       {append(with, "--fail-on", "Unknown", clean), 0, "vulnerabilities: none\nmalware: none\nsecrets: none"},
		"no image":                    {nil, 2, "accepts 1 arg(s)"},
		"unknown flag":                {[]string{"--no-such-flag", file}, 2, "unknown flag"},
		"unknown severity":            {[]string{"--fail-on", "high", file}, 2, "write one of Critical"},
		"a time that is none":         {[]string{"--timeout", "-1s", file}, 2, "--timeout: -1s is no time; write one above 0, such as 30m"},
		"a number that is no limit":   {[]string{"--max-files", "-5", file}, 2, "--max-files: -5 is no limit; write a number above 0"},
		"a platform that is none":     {[]string{"--platform", "bogus", file}, 2, `--platform: "bogus" is not a platform; write OS/ARCH, such as linux/amd64`},
		"a service that is none":      {[]string{"--osv-api", "bogus", file}, 2, "write https://HOST"},
		"a name beside a reference":   {[]string{"--name", "a:1", "a:2"}, 2, "--name: chooses an image in a file"},
		"a name that is not there":    {append(with, "--name", "nosuch", file), 3, `no image "nosuch" in it; it has ["test/image:1"]`},
		"no such file":                {append(with, none+".tar"), 3, "no such file"},
		"no clamd":                    {append(with, "--clamd", "unix://"+none, file), 3, "say where it is with --clamd"},
		"no database":                 {append(with, "--osv-db", none, file), 3, "no OSV database"},
		"too large":                   {append(with, "--max-bytes", "1K", file), 3, "raise the limit with --max-bytes"},
		"too slow":                    {append(with, "--timeout", "1ns", file), 3, "give it more with --timeout"},
		"no place for the verdict":    {append(with, "-o", none+"/x.json", file), 3, "verdict: "},
		"help":                        {[]string{"--help"}, 0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			_, stderr, status := run(t, c.arguments...)
			require.Equal(t, c.status, status, stderr)
			require.Contains(t, stderr, c.stderr)
		})
	}
}

func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	_, stderr, _ := run(t, "--fail-on", "high", "--kinds", "viruses", "--clamd", "x", "--max-bytes", "much", "--platform", "a/b/c/d", "x")
	for _, flag := range []string{"--fail-on", "--kinds", "--clamd", "--max-bytes", "--platform"} {
		require.Contains(t, stderr, flag)
	}
}

func TestAPartialVerdictSaysWhatWasNotLookedFor(t *testing.T) {
	img, _ := risky(t)
	stdout, stderr, status := run(t, append(tools(t), "--clamd", "unix:///nowhere.sock", "--allow-partial", imagetest.Save(t, img))...)
	require.Zero(t, status, stderr)
	v, _ := summary(t, stdout)
	require.Equal(t, []verdict.Kind{verdict.KindVulnerabilities, verdict.KindSecrets}, v.Scanned)
	require.Contains(t, stderr, "not scanned: clamd: ")
}

func TestWhatWasSkippedIsToldAndStandsInTheVerdict(t *testing.T) {
	img, _ := risky(t)
	arguments := append(tools(t), "--without", "npm", "--clamd-skip-larger", "60", imagetest.Save(t, img))
	stdout, stderr, status := run(t, arguments...)
	require.Zero(t, status, stderr)
	v, found := summary(t, stdout)
	require.Equal(t, []verdict.Kind{verdict.KindSecrets}, v.Scanned)
	require.Len(t, v.Skipped, 2)
	require.Len(t, found, 5, "openssl, requests and the secrets; EICAR has 68 bytes")
	require.Contains(t, stderr, "skipped: vulnerabilities: 1 packages of npm, as --without says; the kind does not count as scanned (see --accept-skipped)")
	require.Contains(t, stderr, "skipped: malware: ")

	stdout, stderr, status = run(t, append(arguments, "--accept-skipped")...)
	require.Zero(t, status, stderr)
	v, _ = summary(t, stdout)
	require.Equal(t, verdict.Kinds(), v.Scanned)
	require.Len(t, v.Skipped, 2)
	require.Contains(t, stderr, "counts as scanned, as --accept-skipped says")
}

func TestAVerdictForAReportsFolder(t *testing.T) {
	img, _ := risky(t)
	folder := t.TempDir()
	stdout, stderr, status := run(t, append(tools(t), "-q", "-o", folder, imagetest.Save(t, img))...)
	require.Zero(t, status, stderr)
	require.Empty(t, stdout+stderr)
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(folder, strings.TrimPrefix(imagetest.ID(t, img), "sha256:")+".json")}, left)
	file, err := os.ReadFile(left[0])
	require.NoError(t, err)
	_, found := summary(t, string(file))
	require.Len(t, found, 7)
	hidden, err := filepath.Glob(filepath.Join(folder, ".*"))
	require.NoError(t, err)
	require.Empty(t, hidden)
}

func TestAScanOfSomeKindsLeavesWhatWasFoundOfOthersInTheFolder(t *testing.T) {
	img, _ := risky(t)
	folder, file, with := t.TempDir(), imagetest.Save(t, img), tools(t)
	id := filepath.Join(folder, strings.TrimPrefix(imagetest.ID(t, img), "sha256:"))
	for _, arguments := range [][]string{
		{}, {"--kinds", "secrets,malware"}, {"--kinds", "vulnerabilities", "--without", "npm"}, {"--clamd", "unix:///none", "--allow-partial"},
	} {
		_, stderr, status := run(t, append(append(with, "-q", "-o", folder, file), arguments...)...)
		require.Zero(t, status, stderr)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{id + ".json", id + ".malware+secrets.json", id + ".partly-vulnerabilities.json", id + ".vulnerabilities+secrets.json"}, left)
	all, err := os.ReadFile(id + ".json")
	require.NoError(t, err)
	_, found := summary(t, string(all))
	require.Len(t, found, 7)
}

func TestAnImageOfARegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	img, _ := risky(t)
	reference := strings.TrimPrefix(server.URL, "http://") + "/team/app:1"
	parsed, err := name.ParseReference(reference)
	require.NoError(t, err)
	require.NoError(t, remote.Write(parsed, img))
	stdout, stderr, status := run(t, append(tools(t), "--fail-on", "High", reference)...)
	require.Equal(t, 1, status, stderr)
	_, found := summary(t, stdout)
	require.Len(t, found, 7)
}

func TestFileNamesDoNotSteerTheTerminal(t *testing.T) {
	img := imagetest.New(t, imagetest.Layer(t, imagetest.File("tmp/\x1b[2Jevil\nhidden", clamdtest.EICAR)))
	stdout, stderr, status := run(t, append(tools(t), imagetest.Save(t, img))...)
	require.Zero(t, status, stderr)
	require.NotContains(t, stderr, "\x1b")
	require.Contains(t, stderr, "\ufffd[2Jevil hidden")
	require.True(t, json.Valid([]byte(stdout)))
}

func TestAnInterruptedScanLeavesNothingBehind(t *testing.T) {
	img, _ := risky(t)
	folder, temp := t.TempDir(), t.TempDir()
	silent, err := os.MkdirTemp("", "silent-")
	require.NoError(t, err)
	defer os.RemoveAll(silent)
	listener, err := net.Listen("unix", filepath.Join(silent, "clamd.sock")) // accepts, and never answers
	require.NoError(t, err)
	defer listener.Close()
	command := exec.Command(program(t), append(tools(t), "--temp", temp, "--clamd", "unix://"+filepath.Join(silent, "clamd.sock"), "-o", folder, imagetest.Save(t, img))...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	require.NoError(t, command.Start())
	connection, err := listener.Accept()
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, command.Process.Signal(unix.SIGTERM))
	_ = command.Wait()
	require.Equal(t, 3, command.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "interrupted")
	for _, dir := range []string{folder, temp} {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}
