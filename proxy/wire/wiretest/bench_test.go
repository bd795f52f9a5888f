package wiretest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/proxy/wire/wiretest"
)

// BenchmarkSideBySide compares calls made directly, through a byte relay, the relay, the grpc-go path
// and the whole daemon, each a process of its own as on a node. One iteration is one round of all in
// turn; the figures are medians of the rounds, and only their ratios mean something on another machine.
//
//	make build && go test -run '^$' -bench SideBySide -benchtime 75x ./proxy/wire/wiretest
func BenchmarkSideBySide(b *testing.B) {
	dir := b.TempDir()
	runtime := start(b, "runtime", filepath.Join(dir, "r.sock"))
	ways := []*way{{name: "direct", process: runtime}}
	for _, what := range []string{bytesPath, relayPath, grpcPath} {
		ways = append(ways, &way{name: what, process: start(b, what, filepath.Join(dir, what+".sock"), runtime.socket)})
	}
	ways = append(ways, &way{name: "portcullisd", process: startDaemon(b, dir, runtime.socket)})
	for _, w := range ways {
		w.client = wiretest.Connect(b, w.process.socket)
		w.figures = map[string][]float64{}
		require.Eventually(b, func() bool { return loads[0].calls[0].make(w.client) == nil }, 20*time.Second, time.Millisecond)
		w.resident = w.process.resident(b)
	}
	for i := 0; b.Loop(); i++ {
		for k := range ways {
			w := ways[(i+k)%len(ways)]
			for _, load := range loads {
				w.measure(b, load)
			}
		}
	}
	table(b, ways)
}

// load is calls that are made one after another, so many times.
type load struct {
	times int
	calls []call
}

type call struct {
	name    string
	method  string
	request []byte
}

func (c *call) make(client *grpc.ClientConn) error {
	var response []byte
	return client.Invoke(context.Background(), c.method, &c.request, &response)
}

func encoded(message proto.Message) []byte {
	bytes, err := proto.Marshal(message)
	if err != nil {
		panic(err) // it is ours
	}
	return bytes
}

const image = "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// containers is a list of so many as large as the kubelet gets, 1 KB each.
func containers(n int) []byte {
	list := &cri.ListContainersResponse{}
	for i := range n {
		list.Containers = append(list.Containers, &cri.Container{Id: fmt.Sprintf("%064d", i), Annotations: map[string]string{"example.com/annotation": strings.Repeat("x", 900)}})
	}
	return encoded(list)
}

// answers are those of the runtime that is measured.
var answers = map[string][]byte{
	"/runtime.v1.RuntimeService/Version":          encoded(&cri.VersionResponse{Version: "0.1.0", RuntimeName: "containerd", RuntimeVersion: "v2.4.2", RuntimeApiVersion: "v1"}),
	"/runtime.v1.RuntimeService/ListContainers":   containers(110),
	"/runtime.v1.RuntimeService/StreamContainers": containers(1100),
	"/runtime.v1.RuntimeService/CreateContainer":  encoded(&cri.CreateContainerResponse{ContainerId: strings.Repeat("c", 64)}),
	"/runtime.v1.RuntimeService/StartContainer":   encoded(&cri.StartContainerResponse{}),
	"/runtime.v1.RuntimeService/PodSandboxStatus": encoded(&cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{Id: "box"}, Info: map[string]string{"info": `{"config":{"metadata":{"name":"p","namespace":"n"}}}`}}),
	"/runtime.v1.ImageService/ImageStatus":        encoded(&cri.ImageStatusResponse{Image: &cri.Image{Id: image, RepoTags: []string{"registry.example.com/app:1"}}}),
}

var loads = []load{
	{300, []call{{"Version", "/runtime.v1.RuntimeService/Version", encoded(&cri.VersionRequest{Version: "0.1.0"})}}},
	{40, []call{{"110 containers", "/runtime.v1.RuntimeService/ListContainers", nil}}},
	{12, []call{{"1,100 containers", "/runtime.v1.RuntimeService/StreamContainers", nil}}},
	{140, []call{
		{"CreateContainer", wiretest.Guarded, encoded(&cri.CreateContainerRequest{PodSandboxId: "box", Config: &cri.ContainerConfig{
			Image: &cri.ImageSpec{Image: image}, Annotations: map[string]string{"example.com/annotation": strings.Repeat("x", 8000)},
		}})},
		{"StartContainer", "/runtime.v1.RuntimeService/StartContainer", encoded(&cri.StartContainerRequest{ContainerId: strings.Repeat("c", 64)})},
	}},
}

// way is one way from the client to the runtime.
type way struct {
	name     string
	process  *child
	client   *grpc.ClientConn
	figures  map[string][]float64
	resident int // KiB, before there was any load
}

func (w *way) measure(b *testing.B, l load) {
	took := make([][]time.Duration, len(l.calls))
	cpu := w.process.cpu(b)
	for range l.times {
		for i := range l.calls {
			began := time.Now()
			require.NoError(b, l.calls[i].make(w.client))
			took[i] = append(took[i], time.Since(began))
		}
	}
	cpu = w.process.cpu(b) - cpu
	note := func(what string, d time.Duration) {
		w.figures[what] = append(w.figures[what], float64(d)/float64(time.Microsecond))
	}
	for i, c := range l.calls {
		slices.Sort(took[i])
		note(c.name+" p50", took[i][l.times/2])
		note(c.name+" p99", took[i][l.times*99/100])
		note(c.name+" CPU", cpu/time.Duration(l.times*len(l.calls)))
	}
}

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

// added is how much more a way takes than the direct one.
func (w *way) added(direct *way, what string) float64 {
	differences := make([]float64, 0, len(w.figures[what]))
	for i, figure := range w.figures[what] {
		differences = append(differences, figure-direct.figures[what][i])
	}
	return median(differences)
}

// table prints the medians as Markdown, added to the direct call's where that makes sense, and reports
// the ratios that have a bar.
func table(b *testing.B, ways []*way) {
	direct, others := ways[0], ways[1:]
	var out strings.Builder
	out.WriteString("\n| µs | direct |")
	for _, w := range others {
		fmt.Fprintf(&out, " %s |", w.name)
	}
	out.WriteString("\n|" + strings.Repeat(" --- |", 1+len(ways)))
	for _, l := range loads {
		for _, c := range l.calls {
			for _, percentile := range []string{" p50", " p99"} {
				fmt.Fprintf(&out, "\n| %s%s, added | %.0f |", c.name, percentile, median(direct.figures[c.name+percentile]))
				for _, w := range others {
					fmt.Fprintf(&out, " %.0f |", w.added(direct, c.name+percentile))
				}
			}
			fmt.Fprintf(&out, "\n| %s, CPU of the path | |", c.name)
			for _, w := range others {
				fmt.Fprintf(&out, " %.0f |", median(w.figures[c.name+" CPU"]))
			}
		}
	}
	out.WriteString("\n| resident before, after (MiB) | |")
	for _, w := range others {
		fmt.Fprintf(&out, " %.1f, %.1f |", float64(w.resident)/1024, float64(w.process.resident(b))/1024)
	}
	fmt.Println(out.String())
	ratio := func(w *way, what string) float64 { return w.added(direct, what) / others[0].added(direct, what) }
	for _, w := range others[1:] {
		b.ReportMetric(ratio(w, "Version p50"), w.name+"-Version-p50-ratio")
		b.ReportMetric(ratio(w, "CreateContainer p50"), w.name+"-CreateContainer-p50-ratio")
		b.ReportMetric(ratio(w, "StartContainer p50"), w.name+"-StartContainer-p50-ratio")
		b.ReportMetric(median(w.figures["1,100 containers CPU"])/median(others[0].figures["1,100 containers CPU"]), w.name+"-list-CPU-ratio")
	}
}

// child is a process of the benchmark.
type child struct {
	socket string
	pid    int
}

// start makes the test binary one of the processes.
func start(b *testing.B, what, socket string, arguments ...string) *child {
	b.Helper()
	command := exec.Command(os.Args[0], append([]string{socket}, arguments...)...)
	command.Env = append(os.Environ(), asProcess+"="+what)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	require.NoError(b, err)
	stdout, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		stdin.Close()
		require.NoError(b, command.Wait())
	})
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return &child{socket: socket, pid: command.Process.Pid}
}

// startDaemon starts the built daemon with one policy and no verdicts.
func startDaemon(b *testing.B, dir, runtime string) *child {
	b.Helper()
	socket := filepath.Join(dir, "own", "p.sock")
	require.NoError(b, os.Mkdir(filepath.Join(dir, "policies"), 0o700))
	for name, content := range map[string]string{
		"policies/a.yaml": `
apiVersion: portcullis/v1
kind: ImagePolicy
metadata: {name: no criticals}
spec:
  template: RiskyImage
  enabled: true
  effect: {mode: Immediate}
  risk: {vulnerabilities: {severities: [Critical]}}
  scope: {images: {all: true}}
`,
		"c.yaml": fmt.Sprintf("{listen: %s, runtime: %s, policies: %[3]s/policies, reports: %[3]s/reports, state: %[3]s/state, node: bench, metrics: {address: \"\"}, log: {level: error}}", socket, runtime, dir),
	} {
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	command := exec.Command("../../../bin/portcullisd", "--config", filepath.Join(dir, "c.yaml"))
	command.Stderr = os.Stderr
	require.NoError(b, command.Start(), "make build")
	b.Cleanup(func() {
		require.NoError(b, command.Process.Signal(os.Interrupt))
		require.NoError(b, command.Wait())
	})
	return &child{socket: socket, pid: command.Process.Pid}
}

// cpu is the processor time that the process has used.
func (c *child) cpu(b *testing.B) time.Duration {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.pid))
	require.NoError(b, err)
	var total time.Duration
	for _, thread := range threads {
		content, err := os.ReadFile(thread)
		require.NoError(b, err)
		n, err := strconv.ParseInt(strings.Fields(string(content))[0], 10, 64)
		require.NoError(b, err)
		total += time.Duration(n)
	}
	return total
}

// resident is what the process holds of memory, in KiB.
func (c *child) resident(b *testing.B) int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
	require.NoError(b, err)
	_, after, _ := strings.Cut(string(content), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(b, err)
	return n
}
