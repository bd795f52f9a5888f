// Package fdstore answers: how does a connection stay open while the process that has it is replaced?
//
// Closing a connection to the runtime cancels the calls that it executes on it. systemd keeps
// descriptors for a service (FileDescriptorStoreMax=) while that is restarted, and passes them to the
// next process together with the socket.
package fdstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prefix begins the names of all that is stored. What follows is unique, for systemd removes by name.
const prefix = "runtime-call-"

// silence is how long a stored connection may say nothing before it is closed. A runtime says nothing
// while it pulls a large image.
var silence = 10 * time.Minute

// Stored says whether name is that of a descriptor that Store has given away.
func Stored(name string) bool { return strings.HasPrefix(name, prefix) }

// Store has systemd keep a connection open, whether conn is closed or not. Where the unit does not allow
// that, systemd closes its copy and does not say so.
func Store(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		failure = notify("FDSTORE=1\nFDNAME="+prefix+rand.Text(), unix.UnixRights(int(fd)))
	})
	return errors.Join(err, failure)
}

func notify(message string, rights []byte) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return errors.New("systemd has not started this process, so nobody keeps its connections")
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // net has none that sends rights
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }() // what was sent is sent
	return unix.Sendmsg(socket, []byte(message), rights, &unix.SockaddrUnix{Name: path}, unix.MSG_NOSIGNAL)
}

// Hold keeps a connection that systemd has passed back open until the other end closes it or has been
// silent for ten minutes, and then has systemd forget it. It writes nothing, and reads only so that the
// other end can write. When ctx ends, the connection is left in the store, to the next process. file is
// Hold's.
func Hold(ctx context.Context, file *os.File) error {
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("stored connection: %w", err), forget(file.Name()))
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	discarded := make([]byte, 4096)
	for err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(silence)) // a closed connection cannot be read either
		_, err = conn.Read(discarded)
	}
	if ctx.Err() != nil {
		return nil
	}
	return forget(file.Name())
}

func forget(name string) error { return notify("FDSTOREREMOVE=1\nFDNAME="+name, nil) }
