package bypass

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told collects what a bypass says.
type told struct {
	mu       sync.Mutex
	messages []string
	crit     int
}

func (s *told) say(message string, priority journal.Priority) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, message)
	if priority == journal.PriCrit {
		s.crit++
	}
}

func (s *told) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

func listen(t *testing.T, name string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), name), Net: "unix"})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// start runs a bypass to the runtime at a socket, and connects a client to it.
func start(t *testing.T, runtime string) (client net.Conn, s *told, stop func()) {
	t.Helper()
	s = &told{}
	l := listen(t, "p.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(runtime, s.say).Run(ctx, l) }()
	client, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client, s, func() { cancel(); require.NoError(t, <-ended) }
}

func TestBytesPassBothWaysAndEndTogether(t *testing.T) {
	runtime := listen(t, "r.sock")
	client, s, stop := start(t, runtime.Addr().String())
	conn, err := runtime.Accept()
	require.NoError(t, err)
	defer conn.Close()
	for _, way := range []struct{ from, to net.Conn }{{client, conn}, {conn, client}} {
		sent := make([]byte, 1<<20)
		sent[12345] = 1
		go func() { _, _ = way.from.Write(sent) }()
		got := make([]byte, len(sent))
		_, err := io.ReadFull(way.to, got)
		require.NoError(t, err)
		require.Equal(t, sent, got)
	}
	stop()
	for _, end := range []net.Conn{client, conn} {
		_, err := end.Read(make([]byte, 1))
		require.Error(t, err, "a connection outlived the bypass")
	}
	require.Contains(t, s.all()[0], "PORTCULLIS IS BYPASSED")
	require.Equal(t, 1, s.crit)
}

func TestARuntimeThatGoesTakesItsClientsAlong(t *testing.T) {
	runtime := listen(t, "r.sock")
	client, _, stop := start(t, runtime.Addr().String())
	defer stop()
	conn, err := runtime.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestWithoutARuntimeClientsAreNotKeptWaiting(t *testing.T) {
	client, s, stop := start(t, "/nonexistent/r.sock")
	_, err := client.Read(make([]byte, 1))
	require.Error(t, err)
	stop()
	require.Contains(t, s.all()[1], "cannot reach the container runtime")
}

func TestNobodyForgetsThatNothingIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &told{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Second)
		defer cancel()
		New("", s.say).remind(ctx)
		require.Equal(t, 60, s.crit)
		require.Contains(t, s.all()[59], "for 1h0m0s")
	})
}

func TestTheRuntimeIsFoundInABrokenConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"runtime: /run/containerd/containerd.sock\n":                      "/run/containerd/containerd.sock",
		"nonsense: [\n\truntime: /no\nruntime: unix:///run/a.sock # ours": "/run/a.sock",
		"runtime: \"/run/b.sock\"\nruntime: /run/second.sock\n\x00\x01":   "/run/b.sock",
	} {
		file := filepath.Join(t.TempDir(), "portcullisd.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		got, err := FindRuntime(file)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
}

func TestWithoutAConfigurationTheOnlyWellKnownSocketIsTaken(t *testing.T) {
	before := wellKnown
	defer func() { wellKnown = before }()
	first, second := listen(t, "containerd.sock").Addr().String(), listen(t, "crio.sock").Addr().String()
	wellKnown = []string{first, "/nonexistent"}
	got, err := FindRuntime("/nonexistent")
	require.NoError(t, err)
	require.Equal(t, first, got)

	wellKnown = []string{first, second}
	_, err = FindRuntime("/nonexistent")
	require.ErrorContains(t, err, "name the runtime's socket with --runtime")
}
