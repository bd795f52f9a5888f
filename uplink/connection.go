package uplink

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"

	"portcullis/api/portcullis/v1/portcullisv1connect"
)

// maxMessage bounds one answer of central, in bytes.
const maxMessage = 64 << 20

// patience is how long a connection may take. Central may have thousands to answer: to give up soon and come again
// would only make more work for it.
const patience = 30 * time.Second

// connection is HTTP/2 over mutual TLS to central, and the service on it.
type connection struct {
	transport *http.Transport
	client    portcullisv1connect.SyncServiceClient
}

// dial makes a connection that trusts nobody but the authorities of id. It connects with the first call.
func dial(address string, id *identity, now func() time.Time) *connection {
	trusted := x509.NewCertPool()
	for _, c := range id.authorities {
		trusted.AddCert(c)
	}
	return connectWith(address, &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: trusted, Certificates: []tls.Certificate{id.certificate}, Time: now,
	})
}

func connectWith(address string, config *tls.Config) *connection {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: patience}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    patience,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              protocols,
		// A connection that a firewall has forgotten would otherwise look alive until the heartbeats are missed.
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
			MaxEncoderHeaderTableSize: 1, // central would keep a table of headers for each of its nodes
		},
	}
	caller := &http.Client{Transport: small{transport}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &connection{transport, portcullisv1connect.NewSyncServiceClient(caller, address, connect.WithGRPC(), connect.WithReadMaxBytes(maxMessage))}
}

// small sends requests in small frames. Central keeps for each of its nodes as much memory as the largest took.
type small struct{ http.RoundTripper }

func (s small) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return s.RoundTripper.RoundTrip(r)
	}
	in := r.Clone(r.Context())
	in.Body = smallReads{r.Body}
	return s.RoundTripper.RoundTrip(in)
}

// frame is the most that one frame holds, in bytes.
const frame = 2 << 10

type smallReads struct{ io.ReadCloser }

func (r smallReads) Read(into []byte) (int, error) {
	return r.ReadCloser.Read(into[:min(len(into), frame)])
}

func (c *connection) close() { c.transport.CloseIdleConnections() }

// CheckAddress says what is wrong with the address of central.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q is not the address of central; write https://HOST:PORT", address)
	}
	return nil
}
