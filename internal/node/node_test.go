package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/internal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runtime is a container runtime with one image, "sha256:…" of all a's, and one sandbox, "box".
type runtime struct {
	cri.UnimplementedRuntimeServiceServer
	cri.UnimplementedImageServiceServer
}

var imageID = "sha256:" + strings.Repeat("a", 64)

func (runtime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{RuntimeName: "fake"}, nil
}

func (runtime) ImageStatus(context.Context, *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	return &cri.ImageStatusResponse{Image: &cri.Image{Id: imageID, RepoTags: []string{"registry.example.com/app:1"}}}, nil
}

func (runtime) PodSandboxStatus(context.Context, *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{Id: "box"}, Info: map[string]string{"info": `{"config":{"metadata":{"name":"p","namespace":"n"}}}`}}, nil
}

func (runtime) CreateContainer(context.Context, *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	return &cri.CreateContainerResponse{ContainerId: "c"}, nil
}

// daemon is a portcullisd with folders of its own in front of a fake runtime.
type daemon struct {
	*node.Node
	config node.Config
	dir    string
	client cri.RuntimeServiceClient
	hook   *test.Hook
	now    func() time.Time // nil: the real clock
	stored []*os.File       // what systemd has kept for the next to run
}

func newConfig(t *testing.T) node.Config {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "policies"), 0o700))
	config, err := readConfig(t, fmt.Sprintf(`
listen: %[1]s/own/p.sock
runtime: %[1]s/r.sock
policies: %[1]s/policies
reports: %[1]s/reports
state: %[1]s/state
metrics: {address: "127.0.0.1:0"}
`, dir))
	require.NoError(t, err)
	return config
}

// start runs a daemon until the test ends. What is to be there from the start stands in files.
func start(t *testing.T, files map[string]string) *daemon {
	t.Helper()
	config := newConfig(t)
	d := &daemon{config: config, dir: filepath.Dir(config.Runtime)}
	for name, content := range files {
		d.write(t, name, content)
	}
	serve(t, config, runtime{})
	d.run(t)
	return d
}

// serve runs a runtime until the test ends.
func serve(t *testing.T, config node.Config, service interface {
	cri.RuntimeServiceServer
	cri.ImageServiceServer
}) {
	t.Helper()
	listener, err := net.Listen("unix", config.Runtime)
	require.NoError(t, err)
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, service)
	cri.RegisterImageServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

func (d *daemon) run(t *testing.T) {
	t.Helper()
	var log *logrus.Logger
	log, d.hook = test.NewNullLogger()
	n, err := node.New(d.config, node.Options{Version: "test", Log: log, Now: d.now})
	require.NoError(t, err)
	require.NoError(t, n.Start())
	d.Node = n
	connection, err := grpc.NewClient("unix:"+d.config.Listen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	d.client = cri.NewRuntimeServiceClient(connection)
	t.Cleanup(func() { connection.Close(); require.NoError(t, n.Stop()) })
}

func (d *daemon) write(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(d.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// create returns the status code that creating a container of the image gets.
func (d *daemon) create() codes.Code {
	_, err := d.client.CreateContainer(context.Background(), &cri.CreateContainerRequest{PodSandboxId: "box", Config: &cri.ContainerConfig{Image: &cri.ImageSpec{Image: imageID}}})
	return status.Code(err)
}

func (d *daemon) eventually(t *testing.T, want codes.Code) {
	t.Helper()
	require.Eventually(t, func() bool { return d.create() == want }, 10*time.Second, 10*time.Millisecond)
}

func (d *daemon) get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + d.MetricsAddr().String() + path)
	require.NoError(t, err)
	defer response.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func riskyImage(mode string) string {
	return `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: ` + mode + `}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
`
}

var report = `{"apiVersion": "portcullis/v1", "kind": "Verdict", "imageID": "` + imageID + `", "scanner": {"name": "test"},
 "scannedAt": "2026-11-01T00:00:00Z", "scanned": ["vulnerabilities"],
 "vulnerabilities": [{"id": "CVE-2021-44228", "severity": "Critical", "package": "log4j-core", "version": "2.14.1", "type": "maven"}]}`

func TestVerdictAndPolicyFilesAreObeyedWhileTheDaemonRuns(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate")})
	require.Equal(t, codes.OK, d.create(), "not scanned yet")
	d.write(t, "reports/r.json", report)
	d.eventually(t, codes.PermissionDenied)
	d.write(t, "policies/a.yaml", riskyImage("Observe, days: 7"))
	d.eventually(t, codes.OK)
	d.write(t, "policies/a.yaml", riskyImage("Immediate"))
	d.eventually(t, codes.PermissionDenied)
	require.NoError(t, os.Remove(filepath.Join(d.dir, "reports/r.json")))
	d.eventually(t, codes.OK)
}

func TestOneBadPolicyFileLeavesTheRunningBundleAndIsLoud(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied)
	d.write(t, "policies/b.yaml", "kind: ImagePolicy\nnonsense: 1\n")
	require.Eventually(t, func() bool {
		_, metrics := d.get(t, "/metrics")
		return strings.Contains(metrics, "portcullis_bundle_reload_success 0")
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, codes.PermissionDenied, d.create())
	var lines []string
	for _, entry := range d.hook.AllEntries() {
		lines = append(lines, entry.Message)
	}
	require.Contains(t, lines, "policies were not loaded; what was in force stays")
	require.Contains(t, strings.Join(lines, "\n"), "policies/b.yaml:2: nonsense: unknown key")

	require.NoError(t, os.Remove(filepath.Join(d.dir, "policies/b.yaml")))
	require.Eventually(t, func() bool {
		_, metrics := d.get(t, "/metrics")
		return strings.Contains(metrics, "portcullis_bundle_reload_success 1")
	}, 10*time.Second, 10*time.Millisecond)
}

func TestPoliciesThatBrokeWhileTheDaemonWasAwayDoNotOpenTheGate(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied)
	require.NoError(t, d.Stop())
	d.write(t, "policies/a.yaml", "broken: [\n")
	d.run(t)
	d.eventually(t, codes.PermissionDenied)
}

func TestMetricsAndHealthTellWhatTheNodeDoes(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied)
	_, err := d.client.Version(t.Context(), &cri.VersionRequest{})
	require.NoError(t, err)
	_, metrics := d.get(t, "/metrics")
	for _, line := range []string{
		`portcullis_decisions_total{action="block",operation="CreateContainer",policy="no criticals",reason="policy"} `,
		`portcullis_calls_total{code="OK",guarded="false",method="Version"} 1`,
		`portcullis_call_seconds_count{method="Version"} 1`,
		`portcullis_decision_seconds_count{operation="CreateContainer"} `,
		"portcullis_verdict_cache_hits_total ", "portcullis_verdict_cache_misses_total ", "portcullis_verdict_cache_size 1",
		"portcullis_bundle_info{revision=", "portcullis_bundle_policies 1", "portcullis_bundle_exemptions_expired 0", "portcullis_bundle_reload_success 1",
		"portcullis_runtime_connected 1", "portcullis_verdict_files 1",
	} {
		require.Contains(t, metrics, line)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/debug/pprof/": 404} {
		code, _ := d.get(t, path)
		require.Equal(t, want, code, path)
	}
}

func TestWithoutRuntimeAndPoliciesTheDaemonServesAndSaysItIsNotReady(t *testing.T) {
	d := &daemon{config: newConfig(t)}
	d.config.Policies = filepath.Join(filepath.Dir(d.config.Runtime), "nowhere")
	d.run(t)
	_, err := d.client.Version(t.Context(), &cri.VersionRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err))
	code, body := d.get(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "not connected to the container runtime\nno policies in force\n", body)
}

func TestTheSocketIsForItsOwnerOnly(t *testing.T) {
	d := start(t, nil)
	info, err := os.Stat(d.config.Listen)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(filepath.Dir(d.config.Listen))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestASecondDaemonIsRefusedAndTheFirstGoesOn(t *testing.T) {
	d := start(t, nil)
	log, _ := test.NewNullLogger()
	_, err := node.New(d.config, node.Options{Log: log})
	require.ErrorContains(t, err, "another portcullisd is running on this socket")
	_, err = d.client.Version(t.Context(), &cri.VersionRequest{})
	require.NoError(t, err)
}

func TestASocketThatADeadDaemonLeftIsTakenOver(t *testing.T) {
	config := newConfig(t)
	require.NoError(t, os.Mkdir(filepath.Dir(config.Listen), 0o700))
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: config.Listen, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	require.FileExists(t, config.Listen)
	d := &daemon{config: config}
	d.run(t)
	_, err = d.client.Version(t.Context(), &cri.VersionRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err), "the daemon answers, for a runtime that is away")
}

func TestWhatIsNotOursIsNotTakenOver(t *testing.T) {
	log, _ := test.NewNullLogger()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, config node.Config)
		want    string
	}{
		"a file": {func(t *testing.T, config node.Config) {
			require.NoError(t, os.WriteFile(config.Listen, []byte("precious"), 0o600))
		}, "exists and is not a socket; it is left alone"},
		"a link to a socket": {func(t *testing.T, config node.Config) {
			require.NoError(t, os.Symlink("elsewhere.sock", config.Listen))
		}, "exists and is not a socket; it is left alone"},
		"another program's socket": {func(t *testing.T, config node.Config) {
			listener, err := net.Listen("unix", config.Listen)
			require.NoError(t, err)
			t.Cleanup(func() { listener.Close() })
		}, "another program serves"},
		"a folder that others may enter": {func(t *testing.T, config node.Config) {
			require.NoError(t, os.Chmod(filepath.Dir(config.Listen), 0o755))
		}, "has mode 0755, so others could reach the socket"},
	} {
		t.Run(name, func(t *testing.T) {
			config := newConfig(t)
			require.NoError(t, os.Mkdir(filepath.Dir(config.Listen), 0o700))
			c.prepare(t, config)
			_, err := node.New(config, node.Options{Log: log})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func disabled(policy string) string {
	return strings.Replace(policy, "enabled: true", "enabled: false", 1)
}

func TestTheExamplesInDeployAreValid(t *testing.T) {
	config, err := node.ReadConfig("../../deploy/portcullisd.yaml")
	require.NoError(t, err)
	config.Policies, err = filepath.Abs("../../deploy/policies")
	require.NoError(t, err)
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "r.sock"))
	require.NoError(t, err)
	defer listener.Close()
	config.Runtime, config.Listen = listener.Addr().String(), filepath.Join(t.TempDir(), "own/p.sock")
	report, err := config.Check()
	require.NoError(t, err)
	require.Contains(t, report, "2 policies")
}

func TestAReportThatChangedWhileTheDaemonWasAwayIsObeyedFromTheFirstContainerOn(t *testing.T) {
	clean := strings.Replace(report, `[{"id": "CVE-2021-44228", "severity": "Critical", "package": "log4j-core", "version": "2.14.1", "type": "maven"}]`, "[]", 1)
	require.NotEqual(t, report, clean)
	for name, change := range map[string]func(d *daemon){
		"changed": func(d *daemon) { d.write(t, "reports/r.json", report) },
		"new": func(d *daemon) {
			d.write(t, "reports/later.json", strings.Replace(report, "2026-11-01", "2026-11-02", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": clean})
			require.Equal(t, codes.OK, d.create())
			require.Eventually(t, func() bool {
				_, metrics := d.get(t, "/metrics")
				return strings.Contains(metrics, "portcullis_verdict_cache_size 1")
			}, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, d.Stop())
			change(d)
			d.run(t)
			_, err := d.client.Version(t.Context(), &cri.VersionRequest{}) // connects
			require.NoError(t, err)
			require.Equal(t, codes.PermissionDenied, d.create())
		})
	}
}
