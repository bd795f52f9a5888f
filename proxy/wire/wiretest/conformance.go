package wiretest

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"portcullis/proxy/wire"
)

// Path is a data path.
type Path interface {
	Serve(net.Listener) error
	Stop(context.Context)
}

// New makes a data path to the runtime at a socket. What it opens beside is closed when the test ends.
type New func(t testing.TB, runtimeSocket string, guard wire.Guard, finished func(wire.Call)) Path

const version = "/runtime.v1.RuntimeService/Version"

// patience is longer than anything here takes.
const patience = 20 * time.Second

// Conformance is what every data path must do.
func Conformance(t *testing.T, open New) {
	for name, test := range map[string]func(*testing.T, *bench){
		"metadata and trailers pass both ways":                         metadataPasses,
		"status details pass without being doubled":                    detailsPass,
		"the time that is left reaches the runtime":                    deadlinePasses,
		"cancellation reaches the runtime":                             cancellationPasses,
		"messages over 16 MiB pass both ways":                          largePasses,
		"a stream arrives message by message":                          streamPasses,
		"an unknown service gets the runtime's own answer":             unknownPasses,
		"a refused call never reaches the runtime":                     refusalHolds,
		"a refusal keeps its text and its details":                     refusalIsWhole,
		"an error without a status is no permission":                   plainErrorRefuses,
		"an allowed call goes on as it came":                           allowedPasses,
		"a large guarded call is decided like a small one":             largeGuarded,
		"a slow decision holds nobody else":                            slowDecision,
		"a call given up while it is decided never gets on":            givenUp,
		"a guarded call that is not one message is refused":            oneMessage,
		"an answer is shown before the client has it":                  answerShown,
		"an observed call passes and is shown":                         observedShown,
		"a runtime that is away is Unavailable at once, and soon back": runtimeAway,
		"a runtime that dies ends its calls":                           runtimeDies,
		"another runtime takes the place of one":                       runtimeReplaced,
		"every call is reported once":                                  reportedOnce,
		"stop loses no call":                                           stopLosesNothing,
		"stop ends what does not end by itself":                        stopEnds,
	} {
		t.Run(name, func(t *testing.T) { test(t, newBench(t, open)) })
	}
}

// bench is a data path between a client and a runtime, one of each.
type bench struct {
	open    New
	guard   *Guard
	path    Path
	runtime *Runtime
	client  *grpc.ClientConn

	mu       sync.Mutex
	finished []wire.Call
}

func newBench(t *testing.T, open New) *bench {
	b := &bench{open: open, guard: &Guard{}}
	b.runtime = StartRuntime(t, filepath.Join(t.TempDir(), "r.sock"))
	b.path, b.client = b.between(t, b.runtime.Socket)
	return b
}

func (b *bench) between(t *testing.T, runtimeSocket string) (Path, *grpc.ClientConn) {
	path := b.open(t, runtimeSocket, b.guard, func(c wire.Call) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.finished = append(b.finished, c)
	})
	return path, Connect(t, Serve(t, path))
}

// Serve lets path serve a socket until the test ends, and returns the socket's path.
func Serve(t testing.TB, path Path) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "p.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- path.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		path.Stop(ctx)
		require.NoError(t, <-served)
	})
	return socket
}

func (b *bench) make(c Call) Answered {
	return c.Make(context.Background(), b.client)
}

// saw waits for what the runtime saw of a call.
func (b *bench) saw(t *testing.T, call string) *Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := b.runtime.WaitFor(ctx, call)
	require.NotNil(t, seen, "the runtime has not seen call %q", call)
	return seen
}

func code(a Answered) string { name, _, _ := strings.Cut(a.Status, ":"); return name }
