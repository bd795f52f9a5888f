// Package bypass answers: how does a node go on when Portcullis itself is what is broken?
//
// It copies bytes between the kubelet's socket and the runtime, and looks at none of them: nothing is
// checked, nothing is recorded, and it says so, loudly, again and again. It shares no code with the data
// path that it stands in for.
package bypass

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// MessageID marks the journal entries that say that nothing is checked on this node.
const MessageID = "8f0d6f2f4c1e4f0b9a5a0c54e1d7b3a9"

const (
	// reminder is how often the journal is told again.
	reminder = time.Minute
	// connectTimeout bounds connecting to the runtime.
	connectTimeout = 3 * time.Second
	// retry is how long to wait when no connection can be accepted, for want of descriptors or memory.
	retry = 100 * time.Millisecond
)

// Say writes one line about this node. It should reach people.
type Say func(message string, priority journal.Priority)

// Journal writes to journald, or to standard error on a machine without one.
func Journal(message string, priority journal.Priority) {
	fields := map[string]string{"MESSAGE_ID": MessageID, "PORTCULLIS_ACTION": "bypass"}
	if !journal.Enabled() || journal.Send(message, priority, fields) != nil {
		fmt.Fprintln(os.Stderr, message)
	}
}

// Bypass is one running bypass.
type Bypass struct {
	runtime string
	say     Say

	connections sync.WaitGroup
	count       atomic.Int64
}

// New makes a bypass to the runtime at a unix socket.
func New(runtime string, say Say) *Bypass { return &Bypass{runtime: runtime, say: say} }

// Run serves listener until ctx ends, then closes it and all connections.
func (b *Bypass) Run(ctx context.Context, listener net.Listener) error {
	b.say(fmt.Sprintf("PORTCULLIS IS BYPASSED: containers start on this node unchecked and unrecorded, from now on (%s goes straight to %s). "+
		"End it with: systemctl start portcullisd", listener.Addr(), b.runtime), journal.PriCrit)
	ctx, cancel := context.WithCancel(ctx)
	defer b.connections.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	b.connections.Go(func() { b.remind(ctx) })
	for {
		client, err := listener.Accept()
		if err == nil {
			b.connections.Go(func() { b.carry(ctx, client) })
			continue
		}
		if ctx.Err() != nil {
			b.say("the bypass of Portcullis ends", journal.PriWarning)
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		b.say("the bypass of Portcullis cannot accept a connection: "+err.Error(), journal.PriErr)
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

func (b *Bypass) remind(ctx context.Context) {
	began := time.Now()
	every := time.NewTicker(reminder)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			b.say(fmt.Sprintf("PORTCULLIS IS BYPASSED, for %s: containers start on this node unchecked and unrecorded (%d connections so far). End it with: systemctl start portcullisd",
				time.Since(began).Round(time.Second), b.count.Load()), journal.PriCrit)
		}
	}
}

// carry copies both ways until one end is gone, or ctx ends.
func (b *Bypass) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	b.count.Add(1)
	dialer := net.Dialer{Timeout: connectTimeout}
	runtime, err := dialer.DialContext(ctx, "unix", b.runtime)
	if err != nil {
		b.say("the bypass of Portcullis cannot reach the container runtime: "+err.Error(), journal.PriErr)
		return
	}
	defer runtime.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { client.Close(); runtime.Close() })()
	var other sync.WaitGroup
	other.Go(func() { copyAll(runtime, client, cancel) })
	copyAll(client, runtime, cancel)
	other.Wait()
}

// copyAll copies until from ends or either breaks, and then ends the connection: gRPC has no use for one
// that is open one way.
func copyAll(to, from net.Conn, end func()) {
	_, _ = io.Copy(to, from) // however it ends, the other side learns it from the connection
	end()
}

// wellKnown are the CRI sockets of container runtimes.
var wellKnown = []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock"}

// runtimeLine is the line of the configuration that names the runtime's socket.
var runtimeLine = regexp.MustCompile(`(?m)^runtime:[ \t]*["']?(?:unix://)?(/[^"'#\s]+)`)

// FindRuntime finds the runtime's socket. It reads no more of the configuration than the line that
// names it: the rest may be what is broken. Without that line it is the only well-known socket there is.
func FindRuntime(configFile string) (string, error) {
	config, err := os.ReadFile(configFile)
	if found := runtimeLine.FindSubmatch(config); found != nil {
		return string(found[1]), nil
	}
	problem := fmt.Sprintf("%s has no line runtime: SOCKET", configFile)
	if err != nil {
		problem = err.Error()
	}
	there := slices.DeleteFunc(slices.Clone(wellKnown), func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Mode().Type() != os.ModeSocket
	})
	if len(there) != 1 {
		return "", fmt.Errorf("%s, and of %s there are %d on this machine; name the runtime's socket with --runtime", problem, strings.Join(wellKnown, " and "), len(there))
	}
	return there[0], nil
}
