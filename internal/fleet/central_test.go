package fleet_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

// central is a portcullis-central in a process of its own.
type central struct {
	t           testing.TB
	program     string
	dir, config string
	url         string
	process     *exec.Cmd

	// as its admin
	browser  *http.Client
	policies api.PolicyServiceClient
	events   api.EventServiceClient
}

// newCentral starts a central that knows nothing yet, as it is in this tree.
func newCentral(t testing.TB, database string) *central {
	dir := t.TempDir()
	c := &central{t: t, program: filepath.Join(dir, "portcullis-central"), dir: dir, config: filepath.Join(dir, "central.yaml")}
	build := exec.Command("go", "build", "-o", c.program, "portcullis/cmd/portcullis-central")
	build.Stderr = os.Stderr
	require.NoError(t, build.Run())
	address := free(t)
	c.url = "https://" + address
	config := fmt.Sprintf("listen: %s\nurl: %s\ndata: %s\ndatabase: %s\nmetrics: {address: \"\"}\n", address, c.url, filepath.Join(dir, "data"), database)
	require.NoError(t, os.WriteFile(c.config, []byte(config), 0o600))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("central's log ends with:\n%s", last(c.log(), 4000))
		}
		c.stop()
	})
	c.start()
	c.login()
	return c
}

// free is an address on loopback that nobody listens on.
func free(t testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func last(text string, most int) string { return text[max(0, len(text)-most):] }

func (c *central) log() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "log"))
	require.NoError(c.t, err)
	return string(text)
}

// serves is what central logs when it answers.
const serves = "portcullis-central serves"

// start starts central and waits until it answers.
func (c *central) start() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(c.t, err)
	defer log.Close()
	serving := strings.Count(c.log(), serves)
	c.process = exec.Command(c.program, "--config", c.config)
	c.process.Stdout, c.process.Stderr = log, log
	require.NoError(c.t, c.process.Start())
	require.Eventually(c.t, func() bool { return strings.Count(c.log(), serves) > serving }, time.Minute, 10*time.Millisecond)
}

// stop ends central as an operator would.
func (c *central) stop() {
	c.t.Helper()
	if c.process == nil {
		return
	}
	require.NoError(c.t, c.process.Process.Signal(syscall.SIGTERM))
	require.NoError(c.t, c.process.Wait())
	c.process = nil
}

// login makes the clients: with the password that central has printed, and then with another.
func (c *central) login() {
	c.t.Helper()
	_, after, _ := strings.Cut(c.log(), "one-time password ")
	password, _, _ := strings.Cut(after, "\n")
	authority, err := os.ReadFile(filepath.Join(c.dir, "data", "ca.crt"))
	require.NoError(c.t, err)
	roots := x509.NewCertPool()
	require.True(c.t, roots.AppendCertsFromPEM(authority))
	jar, err := cookiejar.New(nil)
	require.NoError(c.t, err)
	c.browser = &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	sessions := api.NewSessionServiceClient(c.browser, c.url)
	_, err = sessions.Login(ctx, &portcullisv1.LoginRequest{Name: "admin", Password: password})
	require.NoError(c.t, err)
	_, err = sessions.ChangePassword(ctx, &portcullisv1.ChangePasswordRequest{OldPassword: password, NewPassword: "correct horse battery"})
	require.NoError(c.t, err)
	c.policies, c.events = api.NewPolicyServiceClient(c.browser, c.url), api.NewEventServiceClient(c.browser, c.url)
}

// token is a join token for so many nodes.
func (c *central) token(uses int) string {
	c.t.Helper()
	token, err := exec.Command(c.program, "token", "create", "--config", c.config, "--uses", strconv.Itoa(uses)).Output()
	require.NoError(c.t, err)
	return strings.TrimSpace(string(token))
}

// create makes so many policies.
func (c *central) create(policies int) {
	c.t.Helper()
	var documents strings.Builder
	for i := range policies {
		fmt.Fprintf(&documents, `---
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: "policy-%d"}
spec:
  description: No images of team %d with findings that somebody has to look at first
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk:
    vulnerabilities: {severities: [Critical, High], onlyFixable: true, gracePeriod: 14d}
    malware: {}
    secrets: {levels: [Critical, High], types: [private-key, cloud-access-key]}
  scope:
    images: {select: ["registry.example.com/team-%d/**"], exclude: ["registry.example.com/team-%d/sandbox/**"]}
`, i, i, i, i)
	}
	_, err := c.policies.ApplyDocuments(ctx, &portcullisv1.ApplyDocumentsRequest{Documents: documents.String()})
	require.NoError(c.t, err)
}

// change switches a policy off or on, so that there is another bundle.
func (c *central) change(enabled bool) {
	c.t.Helper()
	_, err := c.policies.SetPolicyEnabled(ctx, &portcullisv1.SetPolicyEnabledRequest{Name: "policy-0", Enabled: enabled})
	require.NoError(c.t, err)
}

// blocked is how many decisions central has counted.
func (c *central) blocked() int64 {
	c.t.Helper()
	overview, err := c.events.GetEventOverview(ctx, &portcullisv1.GetEventOverviewRequest{})
	require.NoError(c.t, err)
	return overview.GetBlocked()
}

// status is a figure of /proc/PID/status in MiB: VmRSS is the memory now, VmHWM the most there was.
func (c *central) status(field string) float64 {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.process.Process.Pid))
	require.NoError(c.t, err)
	_, after, found := strings.Cut(string(text), field+":")
	require.True(c.t, found)
	kib, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	require.NoError(c.t, err)
	return kib / 1024
}

// processor is the processor time that central has used since it was started.
func (c *central) processor() time.Duration {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.process.Process.Pid))
	require.NoError(c.t, err)
	_, after, _ := strings.Cut(string(text), ") ") // the program's name may hold anything
	fields := strings.Fields(after)
	ticks := int64(0)
	for _, field := range fields[11:13] { // user and system
		n, err := strconv.ParseInt(field, 10, 64)
		require.NoError(c.t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
