package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/sirupsen/logrus"

	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// Nodes tells which nodes are members.
type Nodes interface {
	// IsMember reports false for a node that was removed or never was.
	IsMember(ctx context.Context, id string) (bool, error)
}

// Certificates tells whose client certificate it is.
type Certificates interface {
	// NodeID returns an error for a certificate that was never a node's.
	NodeID(certificate *x509.Certificate) (id string, expired bool, err error)
}

// Guard finds out who is calling and lets in who may.
type Guard struct {
	store        *store.Store
	nodes        Nodes
	certificates Certificates
	options      GuardOptions
	errors       *connect.ErrorWriter
}

// GuardOptions is what a guard needs besides.
type GuardOptions struct {
	// Idle is how long a session lasts that is not used.
	Idle time.Duration
	// BodyTimeout bounds how long a caller may take to send a request (default 1 min).
	BodyTimeout time.Duration
	// LookAgain is how often a person's call that goes on and on is asked again whether it may (default
	// 30 s). Nodes' streams end otherwise: by what is notified when one is removed, and with their certificate.
	LookAgain time.Duration
	Now       func() time.Time
	Log       logrus.FieldLogger
}

// NewGuard makes a guard.
func NewGuard(s *store.Store, nodes Nodes, certificates Certificates, options GuardOptions) *Guard {
	if options.BodyTimeout == 0 {
		options.BodyTimeout = time.Minute
	}
	if options.LookAgain == 0 {
		options.LookAgain = 30 * time.Second
	}
	return &Guard{store: s, nodes: nodes, certificates: certificates, options: options, errors: connect.NewErrorWriter()}
}

// RPC guards the handlers of all services: what a caller may not call does not get to them.
func (g *Guard) RPC(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, known := rules[r.URL.Path]
		if !known {
			g.refuse(w, r, connect.NewError(connect.CodeUnimplemented, errors.New("there is no such method")))
			return
		}
		g.let(w, r, rule, next)
	})
}

// Bodies bounds how long callers may take to send a request, also those who are refused or whose request nobody
// reads: over HTTP/1.1 the server reads what is left of a body before it answers.
func (g *Guard) Bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = newTimedBody(w, r.Body, g.options.BodyTimeout)
		next.ServeHTTP(w, r)
	})
}

// HTTP guards a handler that is not an RPC.
func (g *Guard) HTTP(rule Rule, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.let(w, r, rule, next) })
}

func (g *Guard) let(w http.ResponseWriter, r *http.Request, rule Rule, next http.Handler) {
	principal, err := g.identify(r)
	if err == nil {
		err = principal.may(rule)
	}
	if err != nil {
		g.refuse(w, r, rpc.Error(err, g.options.Log))
		return
	}
	ctx := audit.With(With(r.Context(), principal), audit.Actor{
		Name: principal.Actor(), Address: principal.Address, Method: path.Base(r.URL.Path), Time: g.options.Now(),
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if principal.Kind == Node && !principal.expired {
		expires := principal.expires.Sub(g.options.Now())
		var forget context.CancelFunc
		ctx, forget = context.WithTimeoutCause(ctx, expires, errExpired)
		defer forget()
	}
	if principal.Kind == User || principal.Kind == Token {
		go g.lookAgain(ctx, r, rule, cancel)
	}
	next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, passedKey{}, r.URL.Path)))
}

// lookAgain ends a call whose caller may not call it any more, for as long as the call goes on.
func (g *Guard) lookAgain(ctx context.Context, r *http.Request, rule Rule, end func()) {
	again := time.NewTicker(g.options.LookAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		if principal, err := g.identify(r); err == nil && principal.may(rule) != nil {
			end()
		}
	}
}

// refuse answers in the protocol of the caller, as far as they speak one.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if g.errors.IsSupported(r) {
		_ = g.errors.Write(w, r, err) // the caller is gone
		return
	}
	status := map[connect.Code]int{
		connect.CodeUnauthenticated: http.StatusUnauthorized, connect.CodePermissionDenied: http.StatusForbidden,
		connect.CodeUnavailable: http.StatusServiceUnavailable, connect.CodeUnimplemented: http.StatusNotFound,
	}[connect.CodeOf(err)]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	http.Error(w, err.Error(), status)
}

// passedKey marks the context of a request that a guard let in, with the path that it was for.
type passedKey struct{}

// Interceptor refuses calls that did not come through the guard: a handler that somebody mounts beside
// it answers nobody.
func Interceptor() connect.Interceptor { return interceptor{} }

type interceptor struct{}

func (interceptor) check(ctx context.Context, procedure string) error {
	if passed, _ := ctx.Value(passedKey{}).(string); passed != procedure {
		return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s is not guarded", procedure))
	}
	return nil
}

func (i interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := i.check(ctx, request.Spec().Procedure); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

func (interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (i interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		if err := i.check(ctx, stream.Spec().Procedure); err != nil {
			return err
		}
		return next(ctx, stream)
	}
}

// identify says who is calling. An error means that it cannot be known now.
func (g *Guard) identify(r *http.Request) (Principal, error) {
	principal := Principal{Address: address(r)}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return g.identifyNode(r.Context(), r.TLS.PeerCertificates[0], principal)
	}
	if secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.identifySecret(r.Context(), secret, principal)
	}
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		return g.identifySecret(r.Context(), cookie.Value, principal)
	}
	return principal, nil
}

func (g *Guard) identifyNode(ctx context.Context, certificate *x509.Certificate, principal Principal) (Principal, error) {
	id, expired, err := g.certificates.NodeID(certificate)
	if err != nil {
		principal.why = err
		return principal, nil
	}
	member, err := g.nodes.IsMember(ctx, id)
	if err != nil {
		return principal, err
	}
	if !member {
		return principal, refuse("node %s was removed", id)
	}
	principal.Kind, principal.Name, principal.expired, principal.expires = Node, id, expired, certificate.NotAfter
	return principal, nil
}

// address is the caller's, without port and zone.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, "%")
	return host
}

// timedBody bounds the time until the whole body is read. A stream that the server sends afterwards may
// take as long as it likes.
type timedBody struct {
	io.ReadCloser
	controller *http.ResponseController
}

func newTimedBody(w http.ResponseWriter, body io.ReadCloser, timeout time.Duration) io.ReadCloser {
	if body == http.NoBody {
		return body // over HTTP/1.1 the deadline would end the call, for nobody reads what would clear it
	}
	controller := http.NewResponseController(w)
	if controller.SetReadDeadline(time.Now().Add(timeout)) != nil {
		return body // a test's recorder
	}
	return &timedBody{body, controller}
}

func (b *timedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if errors.Is(err, io.EOF) { // after the deadline it has to stay, or the server would wait for the rest
		_ = b.controller.SetReadDeadline(time.Time{}) // it could be set, so it can be cleared
	}
	return n, err
}
