package target

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	api "portcullis/api/portcullis/v1/portcullisv1connect"
)

const (
	// callTimeout bounds one call that is not a stream or an upload; a preview takes the longest.
	callTimeout = time.Minute
	// maxAnswer bounds what is read of one answer.
	maxAnswer = 64 << 20
)

// Central is the services of one central.
type Central struct {
	Context  Context
	HTTP     *http.Client
	Sessions api.SessionServiceClient
	Users    api.UserServiceClient
	Audit    api.AuditServiceClient
	Policies api.PolicyServiceClient
	Images   api.ImageServiceClient
	Events   api.EventServiceClient
	Nodes    api.NodeServiceClient
}

// Connect makes the clients; it calls nobody yet.
func Connect(to Context, version string) (*Central, error) {
	roots, err := to.roots()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
	}
	client := &http.Client{
		Transport: caller{transport, to.Token, "portcullis/" + version},
		// A redirect would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	options := connect.WithClientOptions(connect.WithReadMaxBytes(maxAnswer), connect.WithInterceptors(connect.UnaryInterceptorFunc(timed)))
	return &Central{
		Context: to, HTTP: client,
		Sessions: api.NewSessionServiceClient(client, to.Address, options),
		Users:    api.NewUserServiceClient(client, to.Address, options),
		Audit:    api.NewAuditServiceClient(client, to.Address, options),
		Policies: api.NewPolicyServiceClient(client, to.Address, options),
		Images:   api.NewImageServiceClient(client, to.Address, options),
		Events:   api.NewEventServiceClient(client, to.Address, options),
		Nodes:    api.NewNodeServiceClient(client, to.Address, options),
	}, nil
}

// Close lets go of connections.
func (c *Central) Close() { c.HTTP.CloseIdleConnections() }

func timed(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return next(ctx, request)
	}
}

// caller says who is calling.
type caller struct {
	*http.Transport
	token, agent string
}

func (c caller) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.Transport.RoundTrip(r)
}
