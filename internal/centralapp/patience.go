package centralapp

import (
	"net"
	"sync/atomic"
	"time"
)

// writePatience is how long a connection may take none of what is written to it. HTTP/2 would bound that itself; over
// HTTP/1.1 a stranger who asks for pages and reads none would keep connections for ever.
const writePatience = 30 * time.Second

// patient gives the connections of a listener that patience.
type patient struct {
	net.Listener
	patience time.Duration
}

func (l patient) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: connection, patience: l.patience}, nil
}

// patientConn ends a write that takes too long, or at the deadline that was set, whichever comes first.
type patientConn struct {
	net.Conn
	patience time.Duration
	deadline atomic.Pointer[time.Time] // nil or zero for none
}

func (c *patientConn) Write(data []byte) (int, error) {
	end := time.Now().Add(c.patience)
	if set := c.deadline.Load(); set != nil && !set.IsZero() && set.Before(end) {
		end = *set
	}
	if err := c.Conn.SetWriteDeadline(end); err != nil {
		return 0, err
	}
	return c.Conn.Write(data)
}

func (c *patientConn) SetWriteDeadline(deadline time.Time) error {
	c.deadline.Store(&deadline)
	return c.Conn.SetWriteDeadline(deadline)
}

func (c *patientConn) SetDeadline(deadline time.Time) error {
	c.deadline.Store(&deadline)
	return c.Conn.SetDeadline(deadline)
}
