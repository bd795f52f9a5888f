package node_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/internal/node"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/scannertest"
)

// BenchmarkResidentMemory starts the built daemon with 10,000 verdicts of 200 findings that an earlier
// run has kept, and reports what is resident when it has come to rest: after the start, and after one
// container each of 200 images has been created and started. It needs bin/portcullisd.
func BenchmarkResidentMemory(b *testing.B) {
	for name, fleet := range map[string]*scannertest.Fleet{"no verdicts": nil, "all findings shared": {}, "10 findings of each image its own": {Own: 10}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				measureMemory(b, fleet)
			}
		})
	}
}

const (
	cachedVerdicts = 10_000
	startedImages  = 200
)

func measureMemory(b *testing.B, fleet *scannertest.Fleet) {
	s := newSoak(b)
	if fleet != nil {
		s.keepVerdicts(b, *fleet)
	}
	stop := serveRuntime(b, s.runtime)
	defer stop()
	end := s.daemon(b)
	s.ready(b)
	if fleet != nil {
		require.EqualValues(b, cachedVerdicts, s.metric(b, "portcullis_verdict_cache_size"))
	}
	b.ReportMetric(s.atRest(b), "MiB-started")
	s.startContainers(b)
	b.ReportMetric(s.atRest(b), "MiB-used")
	end()
}

// keepVerdicts writes what an earlier run of the daemon would have kept.
func (s *soak) keepVerdicts(b *testing.B, fleet scannertest.Fleet) {
	config, err := node.ReadConfig(s.config)
	require.NoError(b, err)
	require.NoError(b, os.RemoveAll(config.Reports)) // a report that is new would have all be forgotten
	require.NoError(b, os.MkdirAll(config.State, 0o700))
	cache, err := scanner.NewCache(fleet, scanner.CacheOptions{Images: namedImages{}, Origin: config.Origin()})
	require.NoError(b, err)
	for n := range cachedVerdicts {
		_, err := cache.Verdict(b.Context(), scannertest.ImageID(n))
		require.NoError(b, err)
	}
	require.NoError(b, cache.Save(filepath.Join(config.State, "verdicts.snapshot")))
	require.NoError(b, cache.Close())
}

// namedImages gives every image a tag and a digest.
type namedImages struct{}

func (namedImages) Image(_ context.Context, id string) (scanner.Image, error) {
	var n int
	_, err := fmt.Sscanf(id, "sha256:%x", &n)
	return scannertest.Image(n), err
}

func serveRuntime(b *testing.B, socket string) (stop func()) {
	listener, err := net.Listen("unix", socket)
	require.NoError(b, err)
	server := grpc.NewServer()
	runtime := newSoakRuntime()
	cri.RegisterRuntimeServiceServer(server, runtime)
	cri.RegisterImageServiceServer(server, runtime)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return func() {
		server.Stop()
		require.NoError(b, <-served)
	}
}

func (s *soak) startContainers(b *testing.B) {
	connection, err := grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	defer connection.Close()
	runtime := cri.NewRuntimeServiceClient(connection)
	for n := range startedImages {
		container, err := runtime.CreateContainer(b.Context(), &cri.CreateContainerRequest{
			PodSandboxId: "box", Config: &cri.ContainerConfig{Image: &cri.ImageSpec{Image: scannertest.ImageID(n)}},
		})
		if err == nil { // blocked ones are as good
			_, _ = runtime.StartContainer(b.Context(), &cri.StartContainerRequest{ContainerId: container.GetContainerId()})
		}
	}
}

// atRest waits until the daemon gives no more memory back, and returns what is resident, in MiB.
func (s *soak) atRest(b *testing.B) float64 {
	const mebibyte = 1 << 20
	least, since := s.resident(b), time.Now()
	for began := time.Now(); time.Since(since) < 10*time.Second && time.Since(began) < time.Minute; {
		<-time.After(200 * time.Millisecond)
		if now := s.resident(b); now < least-mebibyte/8 {
			least, since = now, time.Now()
		}
	}
	return s.resident(b) / mebibyte
}

// resident is what the kernel says, in bytes. Asking the daemon itself would have it allocate.
func (s *soak) resident(b *testing.B) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	require.NoError(b, err)
	_, after, _ := strings.Cut(string(content), "VmRSS:")
	kibibytes, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	require.NoError(b, err)
	return kibibytes * 1024
}
