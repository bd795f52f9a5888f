package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// plainRuntime answers every call with nothing, as a runtime of its name.
type plainRuntime struct {
	name     string
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	hangs bool
}

func startPlain(t *testing.T, socket, name string) *plainRuntime {
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	r := &plainRuntime{name: name, listener: listener}
	r.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, conn)
			if !r.hangs {
				r.serving.Go(func() { r.serve(conn) })
			}
			r.mu.Unlock()
		}
	})
	return r
}

func (r *plainRuntime) serve(conn net.Conn) {
	defer conn.Close()
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(initialTable, nil)
	_ = framer.WriteSettings()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if request, ok := f.(*http2.MetaHeadersFrame); ok {
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: request.StreamID, EndHeaders: true, EndStream: true,
				BlockFragment: encoded(":status", "200", "grpc-status", "0", "runtime", r.name)})
		}
	}
}

// stop ends the runtime as a crash would.
func (r *plainRuntime) stop() {
	r.listener.Close()
	r.mu.Lock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.mu.Unlock()
	r.serving.Wait()
}

// hang lets the runtime take connections and say nothing.
func (r *plainRuntime) hang() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs = true
	for _, conn := range r.conns {
		conn.Close()
	}
}

// plainClient makes one call at a time, over a new connection when it is sent away.
type plainClient struct {
	socket string
	conn   net.Conn
	framer *http2.Framer
	next   uint32
}

var errSentAway = errors.New("connection ended")

// call returns the status of a call, and the name of the runtime that answered it.
func (c *plainClient) call(t *testing.T) (status, name string) {
	for {
		if c.conn == nil {
			c.connect(t)
		}
		response, err := c.ask()
		if err == nil {
			for _, field := range response.Fields {
				switch field.Name {
				case "grpc-status":
					status = field.Value
				case "runtime":
					name = field.Value
				}
			}
			return status, name
		}
		c.conn.Close()
		c.conn = nil
	}
}

func (c *plainClient) connect(t *testing.T) {
	var err error
	c.conn, err = net.Dial("unix", c.socket)
	require.NoError(t, err)
	var hello bytes.Buffer
	hello.WriteString(http2.ClientPreface)
	_ = http2.NewFramer(&hello, nil).WriteSettings()
	_, err = c.conn.Write(hello.Bytes())
	require.NoError(t, err)
	c.framer, c.next = http2.NewFramer(c.conn, c.conn), 1
	c.framer.ReadMetaHeaders = hpack.NewDecoder(initialTable, nil)
}

func (c *plainClient) ask() (*http2.MetaHeadersFrame, error) {
	id := c.next
	c.next += 2
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true,
		BlockFragment: encoded(":method", "POST", ":scheme", "http", ":path", version, ":authority", "localhost")}); err != nil {
		return nil, err
	}
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f, nil
		case *http2.GoAwayFrame:
			if f.LastStreamID < id {
				return nil, errSentAway
			}
		}
	}
}

// resources are the descriptors and goroutines of this process.
func resources(t *testing.T) (descriptors, goroutines int) {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries), runtime.NumGoroutine()
}

// requireNoMore waits until the process has no more descriptors and goroutines than it had.
func requireNoMore(t *testing.T, descriptors, goroutines int) {
	t.Helper()
	var d, g int
	for range 1000 {
		if d, g = resources(t); d <= descriptors && g <= goroutines {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("%d descriptors where there were %d, %d goroutines where there were %d", d, descriptors, g, goroutines)
}

// cycles is how often the runtime goes and comes. A cycle takes some milliseconds; the soak test has
// more of them.
func cycles(t *testing.T) int {
	if text := os.Getenv("RELAY_CYCLES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	return 3000
}

func TestRuntimeThatComesAndGoesLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "r.sock")
	r := New(socket, &judge{asked: make(chan question, 1)}, Options{ConnectTimeout: 20 * time.Millisecond})
	r.runtime.retry = 100 * time.Microsecond
	front, err := net.Listen("unix", filepath.Join(dir, "p.sock"))
	require.NoError(t, err)
	go func() { _ = r.Serve(front) }()
	defer func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r.Stop(ctx)
	}()
	client := &plainClient{socket: front.Addr().String()}
	defer func() { client.conn.Close() }()
	until := func(want, name string) {
		t.Helper()
		for began := time.Now(); ; {
			status, runtime := client.call(t)
			if status == want && runtime == name {
				return
			}
			require.Less(t, time.Since(began), 20*time.Second, "status %q of runtime %q instead of %q of %q", status, runtime, want, name)
		}
	}
	cycle := func(i int) {
		name := strconv.Itoa(i)
		runtime := startPlain(t, socket, name)
		until("0", name)
		if i%10 == 0 {
			runtime.hang()
			until("14", "")
		}
		runtime.stop()
		if i%2 == 0 { // else the next one is there at once
			until("14", "")
		}
	}
	for i := range 10 {
		cycle(i)
	}
	descriptors, goroutines := resources(t)
	for i := range cycles(t) {
		cycle(i)
	}
	requireNoMore(t, descriptors, goroutines)
	require.Zero(t, r.held.Load())
}

func TestClientThatComesAndGoesLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	runtime := startPlain(t, filepath.Join(dir, "r.sock"), "")
	defer runtime.stop()
	r := New(filepath.Join(dir, "r.sock"), &judge{asked: make(chan question, 10_000)}, Options{})
	defer r.Stop(t.Context())
	front, err := net.Listen("unix", filepath.Join(dir, "p.sock"))
	require.NoError(t, err)
	go func() { _ = r.Serve(front) }()
	client := &plainClient{socket: front.Addr().String()}
	cycle := func(n int) {
		for i := range n {
			_, _ = client.call(t)
			p := newPeer(client.conn)
			p.call(3, create)
			p.data(3, i%2 == 0, prefixed([]byte("image"))[:5+5*(i%2)])
			client.conn.Close()
			client.conn = nil
		}
	}
	cycle(10)
	descriptors, goroutines := resources(t)
	cycle(cycles(t))
	requireNoMore(t, descriptors, goroutines)
	require.Zero(t, r.held.Load())
}
