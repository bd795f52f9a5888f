package handover

import (
	"fmt"
	"net"
	"os"
)

// Successor is a hand-over that has begun: its files are lent.
type Successor struct {
	Files map[string]*os.File // by the names that the incumbent gave them
	peer  *peer
}

// Ask asks the process that listens on the private socket at path for its files.
func Ask(path string) (*Successor, error) {
	conn, err := net.DialUnix(network, nil, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, err
	}
	s, err := ask(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func ask(conn *net.UnixConn) (*Successor, error) {
	p, err := identified(conn)
	if err != nil {
		return nil, err
	}
	if err := p.send(message{Step: takeOver}); err != nil {
		return nil, err
	}
	m, files, err := p.expect(give)
	if err != nil {
		return nil, err
	}
	s := &Successor{Files: map[string]*os.File{}, peer: p}
	for i, name := range m.Files {
		if s.Files[name] != nil {
			closeAll(files)
			return nil, fmt.Errorf("got two files named %q", name)
		}
		s.Files[name] = files[i]
	}
	return s, nil
}

// Ready says that the successor has read the incumbent's state and could serve, and waits until it may
// do so and may write the state.
func (s *Successor) Ready() error {
	if err := s.peer.send(message{Step: ready}); err != nil {
		return err
	}
	_, _, err := s.peer.expect(yours)
	return err
}

// Serving says that the successor serves, and waits for the incumbent's word that it retires. On an
// error it does not, and the successor must not serve.
func (s *Successor) Serving() error {
	defer s.peer.conn.Close()
	if err := s.peer.send(message{Step: serving}); err != nil {
		return err
	}
	_, _, err := s.peer.expect(farewell)
	return err
}

// Close gives up and closes the files; unless Serving went well, the incumbent serves on.
func (s *Successor) Close() error {
	for _, f := range s.Files {
		f.Close()
	}
	return s.peer.conn.Close()
}
