package node_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	soakClients  = 16
	soakRate     = 3000 // calls a second, of all clients
	soakRestarts = 30 * time.Second
	soakConnects = 5 * time.Second
)

// soakRuntime is a runtime with some hundred containers.
type soakRuntime struct {
	runtime
	list    *cri.ListContainersResponse
	created *atomic.Int64
}

func newSoakRuntime() soakRuntime {
	list := &cri.ListContainersResponse{}
	for i := range 110 {
		list.Containers = append(list.Containers, &cri.Container{Id: fmt.Sprintf("%064d", i), Annotations: map[string]string{"a": strings.Repeat("x", 800)}})
	}
	return soakRuntime{list: list, created: new(atomic.Int64)}
}

func (s soakRuntime) ListContainers(context.Context, *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	return s.list, nil
}

func (soakRuntime) ImageStatus(_ context.Context, request *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	return &cri.ImageStatusResponse{Image: &cri.Image{Id: request.GetImage().GetImage()}}, nil
}

func (s soakRuntime) CreateContainer(context.Context, *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	return &cri.CreateContainerResponse{ContainerId: fmt.Sprint(s.created.Add(1))}, nil
}

func (soakRuntime) StartContainer(context.Context, *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	return &cri.StartContainerResponse{}, nil
}

func (soakRuntime) GetContainerEvents(_ *cri.GetEventsRequest, stream grpc.ServerStreamingServer[cri.ContainerEventResponse]) error {
	for {
		if err := stream.Send(&cri.ContainerEventResponse{ContainerId: "c"}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// soak is a daemon under load.
type soak struct {
	config  string
	socket  string
	runtime string
	metrics string
	pid     int              // of the daemon
	calls   [17]atomic.Int64 // by status code
}

// TestSoak lets clients call, connect, follow events and go away while the runtime restarts now and
// then, for as long as SOAK says, and expects the daemon to need no more at the end than at the
// beginning. It needs bin/portcullisd.
func TestSoak(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("runs for as long as SOAK says; see make soak")
	}
	s := newSoak(t)
	s.daemon(t)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { s.restarts(ctx, t) })
	s.ready(t)
	idle := s.sample(t)
	for range soakClients {
		load.Go(func() { s.client(ctx) })
	}
	samples := s.watch(ctx, t, duration)
	load.Wait()
	s.report(t, samples, duration)
	requireFlat(t, samples)
	require.Positive(t, s.calls[codes.OK].Load())
	require.Positive(t, s.calls[codes.PermissionDenied].Load())
	s.sampleUntil(t, "what clients left behind goes with them", func(now sample) bool {
		return now.descriptors <= idle.descriptors+2 && now.goroutines <= idle.goroutines+4
	})
}

func newSoak(t testing.TB) *soak {
	t.Helper()
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &soak{config: filepath.Join(dir, "c.yaml"), socket: filepath.Join(dir, "own/p.sock"), runtime: filepath.Join(dir, "r.sock"), metrics: free.Addr().String()}
	free.Close()
	d := &daemon{dir: dir}
	d.write(t, "policies/a.yaml", riskyImage("Immediate"))
	d.write(t, "reports/r.json", strings.ReplaceAll(report, imageID, riskyID))
	d.write(t, "c.yaml", fmt.Sprintf(`
listen: %[1]s/own/p.sock
runtime: %[1]s/r.sock
policies: %[1]s/policies
reports: %[1]s/reports
state: %[1]s/state
node: soak
metrics: {address: %[2]q}
log: {level: warning}
`, dir, s.metrics))
	return s
}

var riskyID = "sha256:" + strings.Repeat("b", 64)

// daemon runs the built daemon until the test ends, or end is called.
func (s *soak) daemon(t testing.TB) (end func()) {
	t.Helper()
	log := &strings.Builder{}
	command := exec.Command("../../bin/portcullisd", "--config", s.config)
	command.Stderr = log
	require.NoError(t, command.Start(), "make build")
	s.pid = command.Process.Pid
	end = sync.OnceFunc(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		require.NoError(t, command.Wait(), log.String())
		if t.Failed() {
			t.Log(log.String())
		}
	})
	t.Cleanup(end)
	return end
}

// restarts lets a runtime serve and restarts it now and then.
func (s *soak) restarts(ctx context.Context, t *testing.T) {
	runtime := newSoakRuntime()
	for ctx.Err() == nil {
		_ = os.Remove(s.runtime)
		listener, err := net.Listen("unix", s.runtime)
		if err != nil {
			t.Error(err)
			return
		}
		server := grpc.NewServer()
		cri.RegisterRuntimeServiceServer(server, runtime)
		cri.RegisterImageServiceServer(server, runtime)
		stop := time.AfterFunc(soakRestarts, server.Stop)
		undo := context.AfterFunc(ctx, server.Stop)
		_ = server.Serve(listener) // until it is stopped
		stop.Stop()
		undo()
	}
}

// client makes calls at its share of the rate, over a new connection now and then, with a stream of
// events beside them.
func (s *soak) client(ctx context.Context) {
	every := time.NewTicker(soakClients * 30 * time.Second / soakRate)
	defer every.Stop()
	for ctx.Err() == nil {
		connection, err := grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			panic(err) // the target is well formed
		}
		runtime := cri.NewRuntimeServiceClient(connection)
		turn, done := context.WithTimeout(ctx, soakConnects)
		if events, err := runtime.GetContainerEvents(turn, &cri.GetEventsRequest{}); err == nil {
			go func() {
				for err == nil {
					_, err = events.Recv()
				}
			}()
		}
		for turn.Err() == nil {
			for range 5 {
				s.round(ctx, runtime)
			}
			select {
			case <-every.C:
			case <-turn.Done():
			}
		}
		done()
		connection.Close()
	}
}

// round makes a call of each kind.
func (s *soak) round(ctx context.Context, runtime cri.RuntimeServiceClient) {
	var id string
	create := func(image string) error {
		answer, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: "box", Config: &cri.ContainerConfig{Image: &cri.ImageSpec{Image: image}}})
		id = cmp.Or(answer.GetContainerId(), id)
		return err
	}
	for _, call := range []func() error{
		func() error { _, err := runtime.Version(ctx, &cri.VersionRequest{}); return err },
		func() error { _, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{}); return err },
		func() error { return create(imageID) },
		func() error {
			_, err := runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id})
			return err
		},
		func() error { return create(riskyID) },
		func() error { // given up
			soon, cancel := context.WithTimeout(ctx, 200*time.Microsecond)
			defer cancel()
			_, err := runtime.Version(soon, &cri.VersionRequest{})
			return err
		},
	} {
		s.calls[status.Code(call())].Add(1)
	}
}

// sample is what the daemon needs.
type sample struct{ memory, descriptors, goroutines float64 }

func (s *soak) sample(t *testing.T) sample {
	t.Helper()
	values := s.values(t)
	return sample{values["process_resident_memory_bytes"], values["process_open_fds"], values["go_goroutines"]}
}

func (s *soak) metric(t testing.TB, name string) float64 {
	t.Helper()
	return s.values(t)[name]
}

func (s *soak) values(t testing.TB) map[string]float64 {
	t.Helper()
	response, err := http.Get("http://" + s.metrics + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			values[name], _ = strconv.ParseFloat(value, 64) // comments are none
		}
	}
	return values
}

func (s *soak) ready(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + s.metrics + "/readyz")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond)
}

// watch samples until ctx ends.
func (s *soak) watch(ctx context.Context, t *testing.T, duration time.Duration) []sample {
	t.Helper()
	every := time.NewTicker(duration / 200)
	defer every.Stop()
	var samples []sample
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-every.C:
			samples = append(samples, s.sample(t))
		}
	}
}

func (s *soak) sampleUntil(t *testing.T, why string, enough func(sample) bool) {
	t.Helper()
	var now sample
	for range 300 {
		if now = s.sample(t); enough(now) {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("%s: %+v", why, now)
}

// part is the medians of the samples from one fraction of the time to another.
func part(samples []sample, from, to float64) sample {
	some := samples[int(from*float64(len(samples))):int(to*float64(len(samples)))]
	median := func(of func(sample) float64) float64 {
		var values []float64
		for _, s := range some {
			values = append(values, of(s))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		median(func(s sample) float64 { return s.memory }),
		median(func(s sample) float64 { return s.descriptors }),
		median(func(s sample) float64 { return s.goroutines }),
	}
}

// requireFlat compares the time after the daemon has warmed up with the end.
func requireFlat(t *testing.T, samples []sample) {
	t.Helper()
	early, late := part(samples, 0.2, 0.4), part(samples, 0.8, 1)
	require.LessOrEqual(t, late.memory, early.memory*1.1+2<<20, "memory grows")
	require.LessOrEqual(t, late.descriptors, early.descriptors*1.1+2, "descriptors grow")
	require.LessOrEqual(t, late.goroutines, early.goroutines*1.1+2, "goroutines grow")
}

func (s *soak) report(t *testing.T, samples []sample, duration time.Duration) {
	t.Helper()
	var all int64
	for code := range s.calls {
		if n := s.calls[code].Load(); n > 0 {
			all += n
			t.Logf("%-20s %10d", codes.Code(code), n)
		}
	}
	t.Logf("%d calls in %s, %.0f a second", all, duration, float64(all)/duration.Seconds())
	for i := range 10 {
		now := part(samples, float64(i)/10, float64(i+1)/10)
		t.Logf("%3d%%  %6.1f MiB  %4.0f descriptors  %4.0f goroutines", 10*(i+1), now.memory/(1<<20), now.descriptors, now.goroutines)
	}
}
