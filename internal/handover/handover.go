// Package handover answers: how do the sockets of a running process get to its successor, so that
// somebody answers at every moment?
//
// The incumbent listens on a private socket of its own (Offer). A successor asks there (Ask), gets the
// incumbent's files, gets ready, and is told that they are its own; only when it says that it serves
// does the incumbent retire. Whatever fails before that, on either side, leaves the incumbent as it was.
//
//	successor  → incumbent   take-over
//	incumbent  → successor   give, with the files    (or refuse, with the reason)
//	successor  → incumbent   ready                   it has read the incumbent's state
//	incumbent  → successor   yours                   it may write the state, and serve
//	successor  → incumbent   serving
//	incumbent  → successor   farewell                it retires; without this the successor must not serve
//
// Both check that the other is a process of the same user.
package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// version of the protocol. Messages may gain fields without it; a change of their order takes a new one.
const version = 1

// maxFiles is more than any version gives.
const maxFiles = 16

// network keeps the bounds of messages, so that each comes with its files.
const network = "unixpacket"

// patience bounds each step of a hand-over. A successor may have much state to read.
var patience = 20 * time.Second

// The steps, as messages name them.
const (
	takeOver = "take-over"
	give     = "give"
	refuse   = "refuse"
	ready    = "ready"
	yours    = "yours"
	serving  = "serving"
	farewell = "farewell"
)

type message struct {
	Protocol int      `json:"protocol"`
	Step     string   `json:"step"`
	Reason   string   `json:"reason,omitempty"`
	Files    []string `json:"files,omitempty"` // names, in the order of the descriptors
}

// peer is the connection to the other process.
type peer struct{ conn *net.UnixConn }

// identified makes sure that conn leads to a process of our own user.
func identified(conn *net.UnixConn) (*peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var credentials *unix.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) {
		credentials, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, failure); err != nil {
		return nil, fmt.Errorf("who is there: %w", err)
	}
	if int(credentials.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("process %d belongs to user %d, not to ours", credentials.Pid, credentials.Uid)
	}
	return &peer{conn}, nil
}

func (p *peer) send(m message, descriptors ...int) error {
	m.Protocol = version
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, _, err = p.conn.WriteMsgUnix(data, rights, nil)
	return err
}

// expect receives the message of one step, and nothing else.
func (p *peer) expect(step string) (message, []*os.File, error) {
	m, files, err := p.receive()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		err = fmt.Errorf("the other process hung up before %q: it has ended, or another successor was faster", step)
	case err != nil:
		err = fmt.Errorf("waiting for %q: %w", step, err)
	case m.Step == refuse:
		err = errors.New(m.Reason)
	case m.Protocol != version:
		err = fmt.Errorf("the other process speaks version %d of the hand-over, this one version %d; stop the running one and start the new one", m.Protocol, version)
	case m.Step != step:
		err = fmt.Errorf("got %q instead of %q", m.Step, step)
	case len(files) != len(m.Files):
		err = fmt.Errorf("got %d files instead of %d", len(files), len(m.Files))
	}
	if err != nil {
		closeAll(files)
		return message{}, nil, err
	}
	return m, files, nil
}

func (p *peer) receive() (m message, files []*os.File, err error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return m, nil, err
	}
	data, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, r, flags, _, err := p.conn.ReadMsgUnix(data, rights)
	if err != nil {
		return m, nil, err
	}
	if n == 0 {
		return m, nil, errors.New("the other process is gone")
	}
	if files, err = received(rights[:r]); err != nil {
		return m, nil, err
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return m, files, errors.New("a message is too long")
	}
	if err := json.Unmarshal(data[:n], &m); err != nil {
		return m, files, fmt.Errorf("a message is none of ours: %w", err)
	}
	return m, files, nil
}

// received takes the files that came with a message.
func received(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		descriptors, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // no files
		}
		for _, fd := range descriptors {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
