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

	"portcullis/proxy/wire/wiretest"
)

// BenchmarkSideBySide compares calls made directly, through a byte relay, the relay and the grpc-go
// path, each a process of its own as on a node. One iteration is one round of all four in turn; the
// figures are medians of the rounds, and only their ratios mean something on another machine.
//
//	go test -run '^$' -bench SideBySide -benchtime 9x ./proxy/wire/wiretest
func BenchmarkSideBySide(b *testing.B) {
	dir := b.TempDir()
	runtime := start(b, "runtime", filepath.Join(dir, "r.sock"))
	ways := []*way{{name: "direct", process: runtime}}
	for _, what := range []string{bytesPath, relayPath, grpcPath} {
		ways = append(ways, &way{name: what, process: start(b, what, filepath.Join(dir, what+".sock"), runtime.socket)})
	}
	for _, w := range ways {
		w.client = wiretest.Connect(b, w.process.socket)
		w.figures = map[string][]float64{}
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

type load struct {
	name  string
	calls int
	call  wiretest.Call
}

var loads = []load{
	{"small", 1500, wiretest.Call{Method: "/runtime.v1.RuntimeService/Version", Requests: []int{10}, Script: wiretest.Script{Requests: 1, Responses: []int{60}}}},
	{"guarded", 700, wiretest.Call{Method: wiretest.Guarded, Requests: []int{8_000}, Script: wiretest.Script{Requests: 1, Responses: []int{66}}}},
	{"list", 60, wiretest.Call{Method: "/runtime.v1.RuntimeService/ListContainers", Requests: []int{10}, Script: wiretest.Script{Requests: 1, Responses: []int{1_100_000}}}},
}

// way is one way from the client to the runtime.
type way struct {
	name    string
	process *child
	client  *grpc.ClientConn
	figures map[string][]float64
}

func (w *way) measure(b *testing.B, l load) {
	took := make([]time.Duration, l.calls)
	call := l.call.Prepare()
	cpu := w.process.cpu(b)
	for i := range took {
		began := time.Now()
		require.NoError(b, call(context.Background(), w.client))
		took[i] = time.Since(began)
	}
	cpu = w.process.cpu(b) - cpu
	slices.Sort(took)
	note := func(what string, d time.Duration) {
		w.figures[l.name+" "+what] = append(w.figures[l.name+" "+what], float64(d)/float64(time.Microsecond))
	}
	note("p50", took[len(took)/2])
	note("p99", took[len(took)*99/100])
	note("cpu", cpu/time.Duration(l.calls))
}

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

// table prints the medians, added to the direct call's where that makes sense, and reports the ratios
// that have a bar.
func table(b *testing.B, ways []*way) {
	added := func(w *way, what string) float64 {
		differences := make([]float64, 0, len(w.figures[what]))
		for i, figure := range w.figures[what] {
			differences = append(differences, figure-ways[0].figures[what][i])
		}
		return median(differences)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-22s", "microseconds")
	for _, w := range ways {
		fmt.Fprintf(&out, "%10s", w.name)
	}
	for _, l := range loads {
		for _, percentile := range []string{"p50", "p99"} {
			what := l.name + " " + percentile
			fmt.Fprintf(&out, "\n%-22s%10.0f", what+" (added)", median(ways[0].figures[what]))
			for _, w := range ways[1:] {
				fmt.Fprintf(&out, "%10.0f", added(w, what))
			}
		}
		fmt.Fprintf(&out, "\n%-22s%10s", l.name+" cpu of the path", "")
		for _, w := range ways[1:] {
			fmt.Fprintf(&out, "%10.0f", median(w.figures[l.name+" cpu"]))
		}
	}
	fmt.Fprintf(&out, "\n%-22s%10s", "resident KiB", "")
	for _, w := range ways[1:] {
		fmt.Fprintf(&out, "%10d", w.process.resident(b))
	}
	fmt.Println(out.String())
	bytes, relay := ways[1], ways[2]
	b.ReportMetric(added(relay, "small p50")/added(bytes, "small p50"), "small-p50-ratio")
	b.ReportMetric(added(relay, "guarded p50")/added(bytes, "guarded p50"), "guarded-p50-ratio")
	b.ReportMetric(median(relay.figures["list cpu"])/median(bytes.figures["list cpu"]), "list-cpu-ratio")
}

// child is a process of the benchmark.
type child struct {
	socket string
	pid    int
}

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

func (c *child) resident(b *testing.B) int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
	require.NoError(b, err)
	_, after, _ := strings.Cut(string(content), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(b, err)
	return n
}
