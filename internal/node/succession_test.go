package node_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/internal/node"
)

// successor makes a node that takes over from d, and does not start it.
func (d *daemon) successor(t *testing.T) *node.Node {
	t.Helper()
	log, _ := test.NewNullLogger()
	n, err := node.New(d.config, node.Options{Log: log, TakeOver: true})
	require.NoError(t, err)
	return n
}

// succeededBy has n take over from d, whose clients now reach n.
func (d *daemon) succeededBy(t *testing.T, n *node.Node) {
	t.Helper()
	require.NoError(t, n.Start())
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	<-d.Succeeded()
	require.NoError(t, d.Stop())
	d.Node = n
}

func TestASuccessorServesOnTheSameSockets(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied)
	metrics := d.MetricsAddr().String()
	for range 3 { // a successor can be succeeded
		d.succeededBy(t, d.successor(t))
		require.Equal(t, codes.PermissionDenied, d.create())
		require.Equal(t, metrics, d.MetricsAddr().String())
		code, _ := d.get(t, "/readyz")
		require.Equal(t, 200, code)
	}
	_, err := node.New(d.config, node.Options{})
	require.ErrorContains(t, err, "another portcullisd is running on this socket")
	require.NoError(t, d.Stop())
	require.NoFileExists(t, d.config.Listen)
}

func TestBothServeUntilTheFirstRetires(t *testing.T) {
	d := start(t, nil)
	n := d.successor(t)
	require.NoError(t, n.Start())
	defer func() { require.NoError(t, n.Stop()) }()
	<-d.Succeeded()
	for range 20 { // whichever of them accepts
		_, err := d.client.Version(t.Context(), &cri.VersionRequest{})
		require.NoError(t, err)
	}
	require.NoError(t, d.Stop())
	_, err := d.client.Version(t.Context(), &cri.VersionRequest{})
	require.NoError(t, err)
}

func TestASuccessorThatFailsLeavesTheFirstAsItWas(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate"), "reports/r.json": report})
	d.eventually(t, codes.PermissionDenied)
	n := d.successor(t)
	before := d.state(t)
	require.NoError(t, n.Stop()) // before it has started
	require.Equal(t, before, d.state(t), "whose state it is not")
	require.FileExists(t, d.config.Listen)
	d.write(t, "policies/a.yaml", riskyImage("Observe, days: 7"))
	d.eventually(t, codes.OK)
	require.Eventually(t, func() bool { return before["last-good-policies.json"] != d.state(t)["last-good-policies.json"] },
		10*time.Second, 10*time.Millisecond, "it does not keep its state any more")
	d.succeededBy(t, d.successor(t))
}

// state is what the files of the state folder hold.
func (d *daemon) state(t *testing.T) map[string]string {
	t.Helper()
	content := map[string]string{}
	files, err := filepath.Glob(d.config.State + "/*")
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		content[filepath.Base(file)] = string(data)
	}
	return content
}

func TestTheRetiredLeaveTheStateToTheirSuccessor(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage(observe7), "reports/r.json": report})
	d.eventually(t, codes.OK)
	n := d.successor(t)
	require.NoError(t, n.Start())
	defer func() { require.NoError(t, n.Stop()) }()
	<-d.Succeeded()
	d.write(t, "policies/a.yaml", riskyImage("Immediate"))
	n.Reload()
	before := d.state(t)
	require.Equal(t, "{}", before["observations.json"])
	d.Reload()
	require.NoError(t, d.Stop())
	require.Equal(t, before, d.state(t))
}

func TestACountdownGoesOnUnderTheSuccessor(t *testing.T) {
	d, c := observing(t)
	c.advance(6 * day)
	log, _ := test.NewNullLogger()
	n, err := node.New(d.config, node.Options{Log: log, TakeOver: true, Now: c.now})
	require.NoError(t, err)
	d.succeededBy(t, n)
	d.eventually(t, codes.OK)
	c.advance(day)
	d.eventually(t, codes.PermissionDenied)
}

func TestTakingOverFromNobodyIsAStart(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.Stop())
	n := d.successor(t)
	require.NoError(t, n.Start())
	defer func() { require.NoError(t, n.Stop()) }()
	_, err := d.client.Version(t.Context(), &cri.VersionRequest{})
	require.NoError(t, err)
}

func TestWhoDoesNotHandOverIsNotTakenOver(t *testing.T) {
	log, _ := test.NewNullLogger()
	for name, c := range map[string]struct {
		private func(t *testing.T, path string)
		want    string
	}{
		"systemd's, or too old": {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, "hands nothing over"},
		"of another protocol": {func(t *testing.T, path string) {
			answer(t, path, map[string]any{"protocol": 2, "step": "give"})
		}, "speaks version 2 of the hand-over, this one version 1"},
		"unwilling": {func(t *testing.T, path string) {
			answer(t, path, map[string]any{"protocol": 1, "step": "refuse", "reason": "not now"})
		}, "take over: not now"},
		"none of ours": {func(t *testing.T, path string) { answer(t, path, "hello") }, "none of ours"},
		"gone at once": {func(t *testing.T, path string) { answer(t, path, nil) }, "it has ended, or another successor was faster"},
		"empty-handed": {func(t *testing.T, path string) {
			answer(t, path, map[string]any{"protocol": 1, "step": "give"})
		}, "has not handed over its socket and its lock"},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, nil)
			c.private(t, d.config.Listen+".handover")
			_, err := node.New(d.config, node.Options{Log: log, TakeOver: true})
			require.ErrorContains(t, err, c.want)
			_, err = d.client.Version(t.Context(), &cri.VersionRequest{})
			require.NoError(t, err)
			require.FileExists(t, d.config.Listen)
		})
	}
}

// answer stands in for an incumbent that answers with one message, nil for none, and hangs up.
func answer(t *testing.T, path string, message any) {
	t.Helper()
	require.NoError(t, os.Remove(path))
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 4096))
		if message != nil {
			_ = json.NewEncoder(conn).Encode(message)
		}
	}()
}

func TestOfTwoSuccessorsTheSlowerIsToldWhy(t *testing.T) {
	d := start(t, nil)
	faster, slower := d.successor(t), make(chan error, 1)
	log, _ := test.NewNullLogger()
	go func() {
		_, err := node.New(d.config, node.Options{Log: log, TakeOver: true})
		slower <- err
	}()
	require.Never(t, func() bool { return len(slower) > 0 }, 200*time.Millisecond, 10*time.Millisecond, "it waits for its turn")
	d.succeededBy(t, faster)
	require.ErrorContains(t, <-slower, "take over: the other process hung up")
}

func TestStrangeSuccessorsGetNothingAndDoNoHarm(t *testing.T) {
	d := start(t, nil)
	for _, text := range []string{"hello", `{"protocol":99,"step":"take-over"}`, `{"protocol":1,"step":"serving"}`, strings.Repeat("x", 10_000)} {
		conn, err := net.Dial("unixpacket", d.config.Listen+".handover")
		require.NoError(t, err)
		_, err = conn.Write([]byte(text))
		require.NoError(t, err)
		answer := make([]byte, 4096)
		n, _, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(answer, make([]byte, 0))
		require.NoError(t, err)
		require.Contains(t, string(answer[:n]), `"step":"refuse"`)
		require.NoError(t, conn.Close())
	}
	d.succeededBy(t, d.successor(t))
}

func TestASuccessorThatDiesOnTheWayIsNotMissed(t *testing.T) {
	d := start(t, nil)
	conn, err := net.Dial("unixpacket", d.config.Listen+".handover")
	require.NoError(t, err)
	_, err = conn.Write([]byte(`{"protocol":1,"step":"take-over"}`))
	require.NoError(t, err)
	rights := make([]byte, 128)
	n, r, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(make([]byte, 4096), rights)
	require.NoError(t, err)
	require.Positive(t, n)
	messages, err := syscall.ParseSocketControlMessage(rights[:r])
	require.NoError(t, err)
	descriptors, err := syscall.ParseUnixRights(&messages[0])
	require.NoError(t, err)
	require.Len(t, descriptors, 3, "lock, socket, metrics")
	for _, fd := range descriptors {
		require.NoError(t, syscall.Close(fd))
	}
	require.NoError(t, conn.Close())
	d.succeededBy(t, d.successor(t))
	_, err = d.client.Version(t.Context(), &cri.VersionRequest{})
	require.NoError(t, err)
}

func TestStoppingInTheMiddleOfAHandOverEndsBoth(t *testing.T) {
	d := start(t, nil)
	n := d.successor(t)
	require.NoError(t, d.Stop())
	require.NoFileExists(t, d.config.Listen)
	require.Error(t, n.Start())
	require.NoError(t, n.Stop())
}

// activate makes the socket that systemd would hold.
func activate(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false)
	require.NoError(t, os.Chmod(path, 0o600))
	t.Cleanup(func() { listener.Close() })
	return listener
}

func TestAnActivatedSocketStaysWhenTheDaemonEnds(t *testing.T) {
	log, _ := test.NewNullLogger()
	config := newConfig(t)
	held := activate(t, config.Listen)
	for range 3 {
		file, err := held.File()
		require.NoError(t, err)
		passed, err := net.FileListener(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		n, err := node.New(config, node.Options{Log: log, Activated: passed.(*net.UnixListener)})
		require.NoError(t, err)
		require.NoError(t, n.Start())
		require.NoError(t, n.Probe(t.Context()))
		_, err = node.New(config, node.Options{Log: log, TakeOver: true})
		require.ErrorContains(t, err, "systemctl restart portcullisd loses nothing")
		require.NoError(t, n.Stop())
		require.FileExists(t, config.Listen)
	}
}

func TestAnActivatedSocketMustBeTheOneThatWasConfigured(t *testing.T) {
	log, _ := test.NewNullLogger()
	for name, c := range map[string]struct {
		change func(t *testing.T, config *node.Config)
		want   string
	}{
		"another path": {func(_ *testing.T, config *node.Config) {
			config.Listen += "2"
		}, "write the same path into ListenStream= and listen"},
		"open to others": {func(t *testing.T, config *node.Config) {
			require.NoError(t, os.Chmod(config.Listen, 0o666))
		}, "write SocketMode=0600 into the socket unit"},
		"another's": {func(t *testing.T, config *node.Config) {
			require.NoError(t, os.Chown(config.Listen, 12345, -1))
		}, "belongs to user 12345"},
		"in a folder open to others": {func(t *testing.T, config *node.Config) {
			require.NoError(t, os.Chmod(filepath.Dir(config.Listen), 0o755))
		}, "has mode 0755, so others could reach the socket"},
		"removed": {func(t *testing.T, config *node.Config) {
			require.NoError(t, os.Remove(config.Listen))
		}, "is not there any more; restart portcullisd.socket"},
		"replaced by a file": {func(t *testing.T, config *node.Config) {
			require.NoError(t, os.Remove(config.Listen))
			require.NoError(t, os.WriteFile(config.Listen, nil, 0o600))
		}, "is not the socket that systemd passed"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "another's" && os.Geteuid() != 0 {
				t.Skip("only root gives files away")
			}
			config := newConfig(t)
			held := activate(t, config.Listen)
			c.change(t, &config)
			_, err := node.New(config, node.Options{Log: log, Activated: held})
			require.ErrorContains(t, err, c.want)
		})
	}
	config := newConfig(t)
	_, err := node.New(config, node.Options{Log: log, Activated: activate(t, config.Listen), TakeOver: true})
	require.ErrorContains(t, err, "leave out --take-over")
}

func TestTheProbeNeedsNoRuntimeAndMissesADeadSocket(t *testing.T) {
	d := &daemon{config: newConfig(t)}
	d.run(t)
	require.NoError(t, d.Probe(t.Context()), "the runtime is away, but the daemon answers")

	d = start(t, nil)
	require.NoError(t, d.Probe(t.Context()))
	require.NoError(t, os.Rename(d.config.Listen, d.config.Listen+".moved"))
	require.ErrorContains(t, d.Probe(t.Context()), "no answer on "+d.config.Listen)
	require.NoError(t, os.Rename(d.config.Listen+".moved", d.config.Listen))
	require.Eventually(t, func() bool { return d.Probe(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
}

func TestAPodThatMountsTheHandOverOrTheLockIsRefused(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no sockets}
spec:
  template: PrivilegedStart
  enabled: true
  effect: {mode: Immediate}
  privileges: {parameters: [runtime-socket, host-path-sensitive]}
  scope: {images: {all: true}}
`})
	for _, path := range []string{d.config.Listen + ".handover", d.config.Listen + ".lock"} {
		_, err := d.client.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: "box", Config: &cri.ContainerConfig{
			Image: &cri.ImageSpec{Image: imageID}, Mounts: []*cri.Mount{{HostPath: path, ContainerPath: "/x"}},
		}})
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", path, err)
	}
}
