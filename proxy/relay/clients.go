package relay

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// client is one connection of a client.
type client struct {
	conn    net.Conn
	process int           // that made it, 0 when that is not known
	leave   chan struct{} // closed when it has to make room for another
	called  atomic.Int64  // when its last call began, or it connected, in Unix nanoseconds
	calls   atomic.Int32  // under way, endless ones left out
}

func newClient(conn net.Conn, process int) *client {
	c := &client{conn: conn, process: process, leave: make(chan struct{})}
	c.called.Store(time.Now().UnixNano())
	return c
}

// peerProcess is the process at the other end of a unix socket, 0 when the kernel does not say.
func peerProcess(conn net.Conn) int {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	var process int
	_ = raw.Control(func(descriptor uintptr) { // fails when the connection is closed already
		if credentials, err := unix.GetsockoptUcred(int(descriptor), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			process = int(credentials.Pid)
		}
	})
	return process
}

// admit takes a client in, and sends another away where there are too many. A program that leaks
// connections must not keep the kubelet out: it loses its own. Whoever calls it holds r.mu.
func (r *Relay) admit(c *client) bool {
	if len(r.connected) >= r.options.Limits.Clients {
		loser := r.loser(c)
		r.warnOfCrowd(loser)
		if loser == c {
			return false
		}
		delete(r.connected, loser)
		close(loser.leave)
		time.AfterFunc(linger, func() { loser.conn.Close() })
	}
	r.connected[c] = struct{}{}
	return true
}

// loser is one of the process that has the most connections, if they are many: the newcomer if it is
// of that process, else one that makes no calls. Where no process has many it is one of all.
func (r *Relay) loser(newcomer *client) *client {
	share := map[int]int{newcomer.process: 1}
	for c := range r.connected {
		share[c.process]++
	}
	delete(share, 0)
	most := r.options.Limits.Clients / 8
	for _, n := range share {
		most = max(most, n)
	}
	greedy := func(c *client) bool { return share[c.process] == most }
	if greedy(newcomer) {
		return newcomer
	}
	var loser *client
	for c := range r.connected {
		switch {
		case loser == nil, greedy(c) && !greedy(loser):
			loser = c
		case greedy(c) == greedy(loser) && c.idlerThan(loser):
			loser = c
		}
	}
	return loser
}

func (c *client) idlerThan(other *client) bool {
	if idle := c.calls.Load() == 0; idle != (other.calls.Load() == 0) {
		return idle
	}
	return c.called.Load() < other.called.Load()
}

func (r *Relay) warnOfCrowd(loser *client) {
	if time.Since(r.warned) < time.Minute {
		return
	}
	r.warned = time.Now()
	r.options.Log.WithField("process", loser.process).Warnf(
		"more than %d connections at once; this process is losing some", r.options.Limits.Clients)
}

func (r *Relay) left(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.connected, c)
}
