package node_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"portcullis/internal/node"
)

// systemd is the end that sd_notify speaks to.
type systemd struct{ conn *net.UnixConn }

func newSystemd(t *testing.T) systemd {
	t.Helper()
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address.Name)
	return systemd{conn}
}

// told returns the next message, as a map.
func (s systemd) told(t *testing.T) map[string]string {
	t.Helper()
	require.NoError(t, s.conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	buffer := make([]byte, 4096)
	n, err := s.conn.Read(buffer)
	require.NoError(t, err)
	message := map[string]string{}
	for line := range strings.Lines(string(buffer[:n])) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		require.True(t, ok, line)
		message[name] = value
	}
	return message
}

func (d *daemon) runs(t *testing.T) (signals chan<- os.Signal, ended <-chan error) {
	t.Helper()
	log, hook := test.NewNullLogger()
	d.hook = hook
	n, err := node.New(d.config, node.Options{Log: log, Stored: d.stored})
	require.NoError(t, err)
	d.Node = n
	s, e := make(chan os.Signal), make(chan error, 1)
	go func() { e <- n.Run(s) }()
	return s, e
}

func TestSystemdIsToldWhatTheDaemonDoes(t *testing.T) {
	d := start(t, map[string]string{"policies/a.yaml": riskyImage("Immediate")})
	require.NoError(t, d.Stop())
	s := newSystemd(t)
	signals, ended := d.runs(t)
	message := s.told(t)
	require.Equal(t, "1", message["READY"])
	require.Contains(t, message["STATUS"], "1 policies in force, revision ")
	require.Equal(t, codes.OK, d.create(), "it says that it is ready and is not")

	signals <- unix.SIGHUP
	message = s.told(t)
	require.Equal(t, "1", message["RELOADING"])
	_, err := strconv.ParseInt(message["MONOTONIC_USEC"], 10, 64)
	require.NoError(t, err)
	require.Equal(t, "1", s.told(t)["READY"])

	signals <- unix.SIGTERM
	require.Equal(t, "1", s.told(t)["STOPPING"])
	require.NoError(t, <-ended)
}

func TestTheWatchdogIsFedWithoutARuntime(t *testing.T) {
	s := newSystemd(t)
	t.Setenv("WATCHDOG_USEC", "400000")
	d := &daemon{config: newConfig(t)}
	signals, ended := d.runs(t)
	message := s.told(t)
	require.Equal(t, "no policies in force; the container runtime is away", message["STATUS"])
	require.Equal(t, "1", message["READY"])
	for range 3 {
		require.Equal(t, "1", s.told(t)["WATCHDOG"])
	}
	signals <- unix.SIGTERM
	require.NoError(t, <-ended)
}

func TestTheWatchdogOfADaemonThatDoesNotAnswerIsNotFed(t *testing.T) {
	s := newSystemd(t)
	t.Setenv("WATCHDOG_USEC", "400000")
	d := start(t, nil)
	require.NoError(t, d.Stop())
	signals, ended := d.runs(t)
	require.Equal(t, "1", s.told(t)["READY"])
	require.NoError(t, os.Rename(d.config.Listen, d.config.Listen+".moved"))
	require.Eventually(t, func() bool {
		for _, entry := range d.hook.AllEntries() {
			if strings.Contains(entry.Message, "the daemon does not answer itself") {
				return true
			}
		}
		return false
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, os.Rename(d.config.Listen+".moved", d.config.Listen))
	signals <- unix.SIGINT
	for s.told(t)["STOPPING"] != "1" { // before it, what was fed while the socket was there
	}
	require.NoError(t, <-ended)
}

func TestADaemonThatHasASuccessorEndsByItself(t *testing.T) {
	d := start(t, nil)
	require.NoError(t, d.Stop())
	_, ended := d.runs(t)
	d.eventually(t, codes.OK)
	n := d.successor(t)
	require.NoError(t, n.Start())
	defer func() { require.NoError(t, n.Stop()) }()
	require.NoError(t, <-ended)
	require.Equal(t, codes.OK, d.create())
}
