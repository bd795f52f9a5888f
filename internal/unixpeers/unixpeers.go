// Package unixpeers answers: which processes are connected to this unix socket?
//
// The kernel tells pairs of connected sockets (sock_diag(7)), /proc tells which process holds which
// socket. The client may be in a container: what it calls itself is its own choice.
package unixpeers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"
)

// Process is one that holds an end of a connection.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // as the process calls itself, made printable
	// OwnMounts says that the process sees other files than we do, as one in a container does.
	OwnMounts bool `json:"ownMounts"`
}

// Of returns the processes that are connected to the socket at path, and those that accepted the
// connections. A process whose sockets may not be looked at is left out, so call it as root.
func Of(path string) (clients, servers []Process, err error) {
	sockets, err := dump()
	if err != nil {
		return nil, nil, fmt.Errorf("connections of unix sockets: %w", err)
	}
	names, file := namesOf(path), fileOf(path)
	ours, theirs := map[uint32]bool{}, map[uint32]bool{}
	for _, s := range sockets {
		if s.peer != 0 && (names[s.name] || s.file != nil && file != nil && *s.file == *file) {
			ours[s.inode], theirs[s.peer] = true, true
		}
	}
	if len(ours) == 0 {
		return nil, nil, nil
	}
	clients, servers = holders(theirs, ours)
	return clients, servers, nil
}

// namesOf returns the names that a socket at path may have been bound by: /run and /var/run are one
// folder on most machines.
func namesOf(path string) map[string]bool {
	names := map[string]bool{path: true}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		names[filepath.Join(folder, filepath.Base(path))] = true
	}
	for name := range names {
		if rest, ok := strings.CutPrefix(name, "/run/"); ok {
			names["/var/run/"+rest] = true
		}
	}
	return names
}

// fileOf is the file at path as the kernel knows it, nil where there is none: a socket may have been bound by
// a name that means nothing here, as in a container or through a link.
func fileOf(path string) *file {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return nil
	}
	return &file{
		inode:  uint32(s.Ino), //nolint:gosec // sock_diag tells no more of it
		device: unix.Major(s.Dev)<<20 | unix.Minor(s.Dev),
	}
}

// file is what sock_diag tells of the file that a socket is bound to.
type file struct{ inode, device uint32 }

type socket struct {
	inode, peer uint32
	name        string
	file        *file // nil for none
}

const (
	requestSize  = 24 // struct unix_diag_req
	responseSize = 16 // struct unix_diag_msg

	showName = 1 // UDIAG_SHOW_NAME
	showFile = 2 // UDIAG_SHOW_VFS
	showPeer = 4 // UDIAG_SHOW_PEER

	attributeName = 0 // UNIX_DIAG_NAME
	attributeFile = 1 // UNIX_DIAG_VFS
	attributePeer = 2 // UNIX_DIAG_PEER
)

// dump asks the kernel for all unix sockets of this network namespace. A client in another one is
// seen as the peer of a socket in this.
func dump() ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return nil, err
	}
	if err := unix.Sendto(fd, request(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var sockets []socket
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return sockets, nil
			case unix.NLMSG_ERROR:
				return nil, errors.New("the kernel does not tell (is the module unix_diag there?)")
			}
			if s, ok := parse(m.Data); ok {
				sockets = append(sockets, s)
			}
		}
	}
}

func request() []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+requestSize)
	order := binary.NativeEndian
	order.PutUint32(b[0:], uint32(len(b))) //nolint:gosec // 40
	order.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	order.PutUint32(b[8:], 1)
	body := b[unix.NLMSG_HDRLEN:]
	body[0] = unix.AF_UNIX
	order.PutUint32(body[4:], ^uint32(0)) // every state
	order.PutUint32(body[12:], showName|showFile|showPeer)
	return b
}

func parse(data []byte) (socket, bool) {
	if len(data) < responseSize {
		return socket{}, false
	}
	order := binary.NativeEndian
	s := socket{inode: order.Uint32(data[4:])}
	for rest := data[responseSize:]; len(rest) >= 4; {
		length, kind := int(order.Uint16(rest)), order.Uint16(rest[2:])
		if length < 4 || length > len(rest) {
			return socket{}, false
		}
		value := rest[4:length]
		switch {
		case kind == attributeName:
			s.name = strings.TrimRight(string(value), "\x00")
		case kind == attributeFile && len(value) >= 8:
			s.file = &file{inode: order.Uint32(value), device: order.Uint32(value[4:])}
		case kind == attributePeer && len(value) >= 4:
			s.peer = order.Uint32(value)
		}
		rest = rest[min(len(rest), (length+3)&^3):]
	}
	return s, true
}

// holders returns the processes that hold one of the client and of the server sockets.
func holders(client, server map[uint32]bool) (clients, servers []Process) {
	folders, _ := filepath.Glob("/proc/[0-9]*") // fails for a malformed pattern only
	for _, folder := range folders {
		isClient, isServer := holds(folder, client, server)
		if !isClient && !isServer {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		p := Process{PID: pid, Command: command(folder), OwnMounts: ownMounts(folder)}
		if isClient {
			clients = append(clients, p)
		}
		if isServer {
			servers = append(servers, p)
		}
	}
	return clients, servers
}

func holds(folder string, client, server map[uint32]bool) (isClient, isServer bool) {
	entries, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return false, false // it has ended
	}
	for _, e := range entries {
		target, err := os.Readlink(folder + "/fd/" + e.Name())
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if err != nil {
			continue
		}
		isClient = isClient || client[uint32(inode)]
		isServer = isServer || server[uint32(inode)]
	}
	return isClient, isServer
}

func command(folder string) string {
	name, err := os.ReadFile(folder + "/comm")
	if err != nil {
		return "?"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSpace(string(name)))
}

func ownMounts(folder string) bool {
	theirs, err := os.Readlink(folder + "/ns/mnt")
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	return err == nil && ours != theirs
}
