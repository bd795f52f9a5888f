package wiretest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"portcullis/proxy/grpcpath"
	"portcullis/proxy/relay"
	"portcullis/proxy/wire"
	"portcullis/proxy/wire/wiretest"
)

// The data paths of this package's tests and benchmarks.
const (
	bytesPath = "bytes" // copies bytes and understands nothing
	relayPath = "relay"
	grpcPath  = "grpc-go"
)

// starved is longer than anything takes on a machine that has far too much to do.
const starved = 5 * time.Minute

// asProcess makes the test binary one of the processes of a benchmark.
const asProcess = "WIRETEST_PROCESS"

func TestMain(m *testing.M) {
	if what := os.Getenv(asProcess); what != "" {
		if err := process(what, os.Args[1], os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// process serves one end of a benchmark on a unix socket until its standard input is closed.
func process(what, socket string, runtime []string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	var serve func(net.Listener) error
	if what == "runtime" {
		runtime := wiretest.NewRuntime()
		runtime.Answers = answers
		serve = runtime.Serve
	} else {
		path, err := open(what, runtime[0], allow{}, nil)
		if err != nil {
			return err
		}
		serve = path.Serve
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(listener) }()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	fmt.Println("serving")
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// allow guards what the daemon guards, and costs nothing.
type allow struct{}

func (allow) Guards(method string) bool {
	return method == wiretest.Guarded || method == "/runtime.v1.RuntimeService/StartContainer"
}

func (allow) Check(context.Context, string, []byte) (func([]byte), error) { return nil, nil }

func (allow) CheckNow(string, []byte) (func([]byte), bool) { return nil, true }

func open(what, runtimeSocket string, guard wire.Guard, finished func(wire.Call)) (wiretest.Path, error) {
	switch what {
	case bytesPath:
		return &byteRelay{runtime: runtimeSocket}, nil
	case relayPath:
		return relay.New(runtimeSocket, guard, relay.Options{Finished: finished, ConnectTimeout: starved, RequestTimeout: starved}), nil
	}
	connection, err := grpcpath.Dial(runtimeSocket)
	if err != nil {
		return nil, err
	}
	return dialled{grpcpath.New(connection, guard, grpcpath.Options{Finished: finished}), connection}, nil
}

// dialled is a path that owns its connection to the runtime.
type dialled struct {
	*grpcpath.Path
	connection io.Closer
}

func (d dialled) Stop(ctx context.Context) {
	d.Path.Stop(ctx)
	d.connection.Close()
}

// byteRelay is the least that a data path can do.
type byteRelay struct{ runtime string }

func (b *byteRelay) Serve(listener net.Listener) error {
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		runtime, err := net.Dial("unix", b.runtime)
		if err != nil {
			client.Close()
			continue
		}
		go pipe(client, runtime)
		go pipe(runtime, client)
	}
}

func (b *byteRelay) Stop(context.Context) {}

func pipe(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.UnixConn).CloseWrite()
}
