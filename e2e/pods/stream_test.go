package pods

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"portcullis/e2e/lab"
)

func TestExecLogsAttachAndPortForwardWorkThroughTheProxy(t *testing.T) {
	n := newNode(t, noCriticals, noPrivilege)
	web := container("web", n.image("web", "serve", ":8080"))
	printer := container("printer", n.image("printer", "print", "hello from the log"))
	copier := container("copier", n.image("copier", "copy"))
	copier.Stdin = true
	n.run(newPod("shop", web, copier, printer))
	n.eventually(func() error { return n.running("shop", "web", "copier") })

	for protocol, executor := range executors {
		t.Run("exec over "+protocol, func(t *testing.T) { execs(t, n, executor) })
		t.Run("attach over "+protocol, func(t *testing.T) { attaches(t, n, executor) })
	}
	for protocol, dial := range dialers {
		t.Run("port-forward over "+protocol, func(t *testing.T) { forwards(t, n, dial) })
	}
	t.Run("logs", func(*testing.T) {
		n.eventually(func() error {
			printed, err := n.kubelet.Get(n.ctx, "/containerLogs/default/"+n.kubelet.Name("shop")+"/printer")
			if err == nil && printed != "hello from the log\n" {
				err = fmt.Errorf("the log is %q", printed)
			}
			return err
		})
	})
}

// running fails unless these containers of a pod run.
func (n *node) running(name string, containers ...string) error {
	pod, err := n.pod(name)
	if err != nil {
		return err
	}
	told := states(pod)
	for _, container := range containers {
		if !strings.Contains(strings.Join(told, "\n"), container+" running") {
			return fmt.Errorf("%s does not run: %v", container, told)
		}
	}
	return nil
}

// executors are the two protocols that kubectl exec and attach may speak.
var executors = map[string]func(*lab.Kubelet, *url.URL) (remotecommand.Executor, error){
	"SPDY": func(k *lab.Kubelet, address *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(k.Client(), http.MethodPost, address)
	},
	"WebSocket": func(k *lab.Kubelet, address *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(k.Client(), http.MethodGet, address.String())
	},
}

type newExecutor = func(*lab.Kubelet, *url.URL) (remotecommand.Executor, error)

func execs(t *testing.T, n *node, newExecutor newExecutor) {
	const text = "from standard input"
	output, err := n.stream(newExecutor, "exec/default/"+n.kubelet.Name("shop")+"/web", url.Values{
		"command": {lab.Payload, "copy"}, "input": {"1"}, "output": {"1"}, "error": {"1"},
	}, strings.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, text, output)

	_, err = n.stream(newExecutor, "exec/default/"+n.kubelet.Name("shop")+"/web", url.Values{
		"command": {lab.Payload, "exit", "7"}, "output": {"1"}, "error": {"1"},
	}, nil)
	var exit interface{ ExitStatus() int }
	require.True(t, errors.As(err, &exit), "%v", err)
	require.Equal(t, 7, exit.ExitStatus())
}

// attaches sends a line to a container that copies it back. The container stays, for its input is open for
// the next one who attaches.
func attaches(t *testing.T, n *node, newExecutor newExecutor) {
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	executor, err := newExecutor(n.kubelet, n.kubelet.URL("attach/default/"+n.kubelet.Name("shop")+"/copier", url.Values{"input": {"1"}, "output": {"1"}}))
	require.NoError(t, err)
	input, write := io.Pipe()
	read, output := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: input, Stdout: output}) // ended by cancel
		_ = output.Close()
	}()
	const line = "to an attached container\n"
	go func() { _, _ = io.WriteString(write, line) }()
	got := make([]byte, len(line))
	_, err = io.ReadFull(read, got)
	require.NoError(t, err)
	require.Equal(t, line, string(got))
	cancel()
	require.NoError(t, read.Close())
	require.NoError(t, write.Close())
	<-ended
}

func (n *node) stream(newExecutor newExecutor, path string, query url.Values, input io.Reader) (output string, err error) {
	executor, err := newExecutor(n.kubelet, n.kubelet.URL(path, query))
	if err != nil {
		return "", err
	}
	var printed bytes.Buffer
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: input, Stdout: &printed, Stderr: io.Discard})
	return printed.String(), err
}

// dialers are the two protocols that kubectl port-forward may speak.
var dialers = map[string]func(*lab.Kubelet, *url.URL) (httpstream.Dialer, error){
	"SPDY": func(k *lab.Kubelet, address *url.URL) (httpstream.Dialer, error) {
		transport, upgrader, err := spdy.RoundTripperFor(k.Client())
		if err != nil {
			return nil, err
		}
		return spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, address), nil
	},
	"WebSocket": func(k *lab.Kubelet, address *url.URL) (httpstream.Dialer, error) {
		return portforward.NewSPDYOverWebsocketDialerForStreaming(address, k.Client())
	},
}

func forwards(t *testing.T, n *node, dial func(*lab.Kubelet, *url.URL) (httpstream.Dialer, error)) {
	dialer, err := dial(n.kubelet, n.kubelet.URL("portForward/default/"+n.kubelet.Name("shop"), nil))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"}, []string{"0:8080"}, ready, io.Discard, io.Discard)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(t, err)
	}
	ports, err := forwarder.GetPorts()
	require.NoError(t, err)

	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "hello over HTTP\n", string(body))
	http.DefaultClient.CloseIdleConnections()
	cancel()
	require.NoError(t, <-ended)
}

func TestProbesWorkThroughTheProxy(t *testing.T) {
	n := newNode(t, noCriticals)
	web := n.image("web", "serve", ":8080")

	n.run(newPod("healthy", probed(web, exec("0"), get("/"))))
	n.run(newPod("unready-exec", probed(web, exec("0"), exec("1"))))
	n.run(newPod("unready-http", probed(web, exec("0"), get("/sick"))))
	n.run(newPod("dying", probed(web, exec("1"), get("/"))))

	n.awaitReady("healthy")
	n.eventually(func() error {
		pod, err := n.pod("dying")
		if err == nil && pod.Status.ContainerStatuses[0].RestartCount == 0 {
			err = errors.New("its liveness probe fails, yet it was not restarted")
		}
		return err
	})
	for _, name := range []string{"unready-exec", "unready-http"} {
		n.eventually(func() error { return n.running(name, "web") })
		pod, err := n.pod(name)
		require.NoError(t, err)
		require.Error(t, ready(pod), "its readiness probe fails")
		require.Zero(t, pod.Status.ContainerStatuses[0].RestartCount)
	}
	pod, err := n.pod("healthy")
	require.NoError(t, err)
	require.Zero(t, pod.Status.ContainerStatuses[0].RestartCount, "its liveness probe succeeds")
}

func probed(image image, liveness, readiness core.ProbeHandler) core.Container {
	c := container("web", image)
	c.LivenessProbe = &core.Probe{ProbeHandler: liveness, PeriodSeconds: 1, FailureThreshold: 5}
	c.ReadinessProbe = &core.Probe{ProbeHandler: readiness, PeriodSeconds: 1}
	return c
}

func exec(status string) core.ProbeHandler {
	return core.ProbeHandler{Exec: &core.ExecAction{Command: []string{lab.Payload, "exit", status}}}
}

func get(path string) core.ProbeHandler {
	return core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: path, Port: intstr.FromInt32(8080)}}
}
