package centralapp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	portcullisv1 "portcullis/api/portcullis/v1"
	api "portcullis/api/portcullis/v1/portcullisv1connect"
	"portcullis/central/store/storetest"
	"portcullis/internal/centralapp"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ctx = context.Background()

// central is one that runs, and a browser.
type central struct {
	*centralapp.App
	t        *testing.T
	config   centralapp.Config
	password string // of the first admin
	browser  *http.Client
	url      string
}

// configured is a configuration on free ports of loopback, with more lines.
func configured(t *testing.T, more string) centralapp.Config {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "central.yaml")
	text := "listen: 127.0.0.1:0\nmetrics: {address: 127.0.0.1:0}\ndata: " + folder + "/data\n" + more
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	config, err := centralapp.ReadConfig(file, "")
	require.NoError(t, err)
	return config
}

func start(t *testing.T, config centralapp.Config) *central {
	t.Helper()
	c := &central{t: t, config: config}
	log := logrus.New()
	log.SetOutput(t.Output())
	var err error
	c.App, err = centralapp.New(ctx, config, centralapp.Options{Version: "test", Log: log, FirstPassword: func(_, password string) { c.password = password }})
	require.NoError(t, err)
	c.Start()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(config.Data, "ca.crt"))
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(text))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	c.browser = &http.Client{Transport: transport, Jar: jar}
	c.url = "https://" + c.Addr().String()
	t.Cleanup(func() { require.NoError(t, c.Stop()); transport.CloseIdleConnections() })
	return c
}

func (c *central) sessions() api.SessionServiceClient {
	return api.NewSessionServiceClient(c.browser, c.url)
}

func (c *central) login() error {
	_, err := c.sessions().Login(ctx, &portcullisv1.LoginRequest{Name: "admin", Password: c.password})
	return err
}

func (c *central) whoAmI() error {
	_, err := c.sessions().GetSession(ctx, &portcullisv1.GetSessionRequest{})
	return err
}

func (c *central) get(address string) (*http.Response, string) {
	c.t.Helper()
	response, err := c.browser.Get(address)
	require.NoError(c.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response, string(body)
}

func TestTheFirstStartNeedsNoConfigurationAndTheSecondKnowsEverything(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignored) })
	config := configured(t, "")
	first := start(t, config)
	require.Len(t, first.password, 26)
	require.NoError(t, first.login())
	require.NoError(t, first.whoAmI())
	response, body := first.get(first.url + "/readyz")
	require.Equal(t, "ok\n", body)
	require.Equal(t, "HTTP/2.0", response.Proto)
	require.NoError(t, first.Stop())

	second := start(t, config)
	require.Empty(t, second.password, "it is told once")
	cookies := first.browser.Jar
	second.browser.Jar = cookies
	require.NoError(t, second.whoAmI())
}

func TestAPolicyIsKeptOverARestart(t *testing.T) {
	config := configured(t, "")
	first := start(t, config)
	require.NoError(t, first.login())
	const password = "correct horse battery"
	_, err := first.sessions().ChangePassword(ctx, &portcullisv1.ChangePasswordRequest{OldPassword: first.password, NewPassword: password})
	require.NoError(t, err)
	const document = `{apiVersion: portcullis/v1, kind: ImagePolicy, metadata: {name: p}, spec: {template: PrivilegedStart, enabled: true, effect: {mode: Immediate}, scope: {images: {all: true}}}}`
	_, err = api.NewPolicyServiceClient(first.browser, first.url).CreatePolicy(ctx, &portcullisv1.CreatePolicyRequest{Document: document})
	require.NoError(t, err)
	require.NoError(t, first.Stop())

	second := start(t, config)
	second.password = password
	require.NoError(t, second.login())
	kept, err := api.NewPolicyServiceClient(second.browser, second.url).GetPolicy(ctx, &portcullisv1.GetPolicyRequest{Name: "p"})
	require.NoError(t, err)
	require.Equal(t, "user:admin", kept.GetPolicy().GetUpdatedBy())
}

func TestJSONWithoutAClientLibraryWorks(t *testing.T) {
	c := start(t, configured(t, ""))
	response, err := c.browser.Post(c.url+"/portcullis.v1.SessionService/GetLoginOptions", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	defer response.Body.Close()
	var options map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&options))
	require.Equal(t, map[string]any{"password": true}, options)
}

func TestWhatAnotherSiteMakesABrowserSendIsRefused(t *testing.T) {
	c := start(t, configured(t, ""))
	require.NoError(t, c.login())
	for name, header := range map[string]http.Header{
		"another site": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		"another port": {"Sec-Fetch-Site": {"same-site"}},
		"old browser":  {"Origin": {"https://evil.example"}},
	} {
		for _, method := range []string{"Logout", "Login"} {
			request, err := http.NewRequest(http.MethodPost, c.url+"/portcullis.v1.SessionService/"+method, strings.NewReader("{}"))
			require.NoError(t, err)
			request.Header = header.Clone()
			request.Header.Set("Content-Type", "application/json")
			response, err := c.browser.Do(request)
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, http.StatusForbidden, response.StatusCode, name)
		}
	}
	require.NoError(t, c.whoAmI())
	response, _ := c.get(c.url + "/portcullis.v1.SessionService/Logout")
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, "a link changes nothing")
}

func TestEveryAnswerTellsBrowsersToBeCareful(t *testing.T) {
	c := start(t, configured(t, ""))
	for _, path := range []string{"/", "/healthz", "/nothing", "/portcullis.v1.NoService/No"} {
		response, _ := c.get(c.url + path)
		require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "DENY", response.Header.Get("X-Frame-Options"), path)
		require.Equal(t, "no-store", response.Header.Get("Cache-Control"), path)
	}
	response, body := c.get(c.url + "/")
	require.Contains(t, body, "<title>Portcullis")
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
}

func TestMessagesOfStrangersAreSmall(t *testing.T) {
	c := start(t, configured(t, ""))
	_, err := c.sessions().Login(ctx, &portcullisv1.LoginRequest{Name: strings.Repeat("a", 1<<20)})
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	bomb := api.NewSessionServiceClient(c.browser, c.url, connect.WithSendGzip())
	_, err = bomb.Login(ctx, &portcullisv1.LoginRequest{Name: strings.Repeat("a", 16<<20)})
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	require.ErrorContains(t, err, "it unpacks to too much")
}

func TestADatabaseOutageIsSaidAndSurvived(t *testing.T) {
	cluster := storetest.StartCluster(t)
	c := start(t, configured(t, "database: "+cluster.Database(t)))
	require.NoError(t, c.login())
	cluster.Stop(t)
	err := c.whoAmI()
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
	require.ErrorContains(t, err, "the database cannot be used at the moment; try again later")
	response, body := c.get(c.url + "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "the database does not answer\n", body)
	response, _ = c.get(c.url + "/healthz")
	require.Equal(t, http.StatusOK, response.StatusCode, "to start central again would not help")
	cluster.Start(t)
	require.Eventually(t, func() bool { return c.whoAmI() == nil }, 30*time.Second, 10*time.Millisecond)
}

func TestASessionOfOneReplicaIsGoodOnTheOther(t *testing.T) {
	database := storetest.Postgres(t)
	one, other := start(t, configured(t, "database: "+database)), start(t, configured(t, "database: "+database))
	require.NotEmpty(t, one.password)
	require.Empty(t, other.password)
	require.NoError(t, one.login())
	other.browser.Jar = one.browser.Jar // cookies do not know ports
	require.NoError(t, other.whoAmI())
}

func TestMetricsAreServedApart(t *testing.T) {
	c := start(t, configured(t, ""))
	require.Error(t, c.whoAmI())
	require.NoError(t, c.login())
	_, body := c.get("http://" + c.MetricsAddr().String() + "/metrics")
	require.Contains(t, body, `portcullis_central_calls_total{code="ok",method="/portcullis.v1.SessionService/Login"} 1`)
	_, body = c.get(c.url + "/metrics")
	require.NotContains(t, body, "portcullis_central_", "where the console is built, this is one of its pages")
}

func TestOneFolderHasOneCentral(t *testing.T) {
	c := start(t, configured(t, ""))
	_, err := centralapp.New(ctx, c.config, centralapp.Options{Log: logrus.New()})
	require.ErrorContains(t, err, "is in use by another portcullis-central")
}

func TestAPasswordIsResetWhileCentralRuns(t *testing.T) {
	c := start(t, configured(t, ""))
	require.NoError(t, c.login())
	password, err := centralapp.ResetPassword(ctx, c.config, "admin")
	require.NoError(t, err)
	require.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(c.whoAmI()))
	c.password = password
	require.NoError(t, c.login())
}

func TestATokenMadeOnTheMachineLetsANodeInAndReportsAreTaken(t *testing.T) {
	c := start(t, configured(t, ""))
	token, err := centralapp.CreateToken(ctx, c.config, &portcullisv1.CreateJoinTokenRequest{Description: "rack 1", Uses: 2})
	require.NoError(t, err)
	require.Contains(t, token.GetCommand(), "portcullisd join --central https://127.0.0.1:0 ")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	joining := &portcullisv1.JoinRequest{Token: token.GetSecret(), CertificateRequest: request, Info: &portcullisv1.NodeInfo{Name: "n"}}
	anyone := &http.Client{Transport: c.browser.Transport}
	joined, err := api.NewSyncServiceClient(anyone, c.url).Join(ctx, joining)
	require.NoError(t, err)
	joining.CertificateRequest = make([]byte, 1<<20)
	_, err = api.NewSyncServiceClient(anyone, c.url).Join(ctx, joining)
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "strangers may send little")

	transport := c.browser.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{joined.GetCertificate()}, PrivateKey: key}}
	t.Cleanup(transport.CloseIdleConnections)
	node := &http.Client{Transport: transport}
	stream, err := api.NewSyncServiceClient(node, c.url, connect.WithGRPC()).Sync(ctx, &portcullisv1.SyncRequest{})
	require.NoError(t, err)
	require.True(t, stream.Receive())
	_, err = api.NewNodeServiceClient(node, c.url).ListNodes(ctx, &portcullisv1.ListNodesRequest{})
	require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err), "a node is no operator")

	response, err := anyone.Post(c.url+"/api/v1/reports", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.NoError(t, c.login())
	response, err = c.browser.Post(c.url+"/api/v1/reports", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusForbidden, response.StatusCode, "the one-time password has to be changed first: %s", body)

	require.NoError(t, c.Stop())
	require.False(t, stream.Receive())
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(stream.Err()))
}
