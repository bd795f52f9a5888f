package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
)

// Kind is what a caller proved to be.
type Kind int

// The kinds of callers.
const (
	Anonymous Kind = iota
	User           // a person with a session
	Token          // a program with an API token
	Node           // a node with its certificate
)

// Principal is who is calling.
type Principal struct {
	Kind Kind
	// Name of the user, also of the one whose token it is; ID of the node.
	Name string
	// TokenID is set for Token only.
	TokenID string
	Role    Role
	// Address that the caller has, without a port.
	Address string
	// MustChangePassword is set for a user who may do nothing else.
	MustChangePassword bool

	expired bool      // the node's certificate
	session []byte    // hash of the session's secret
	expires time.Time // the session, token or certificate, at the latest
	why     error     // why what the caller proved was worth nothing
}

// Actor is how the audit log names the principal.
func (p *Principal) Actor() string {
	switch p.Kind {
	case User:
		return "user:" + p.Name
	case Token:
		return "token:" + p.TokenID + " of " + p.Name
	case Node:
		return "node:" + p.Name
	}
	return "anonymous"
}

// errExpired is also what a node is told whose certificate expires while a call of it goes on.
var errExpired = connect.NewError(connect.CodeUnauthenticated, errors.New("the node's certificate has expired; renew it"))

// may returns nil when the rule lets the principal in, and otherwise what to tell them.
func (p *Principal) may(rule Rule) error {
	switch {
	case rule.anyone:
		return nil
	case p.Kind == Anonymous && p.why != nil:
		return connect.NewError(connect.CodeUnauthenticated, p.why)
	case p.Kind == Anonymous && rule.node:
		return connect.NewError(connect.CodeUnauthenticated, errors.New("this is for nodes; call with the client certificate that joining gave"))
	case p.Kind == Anonymous:
		return connect.NewError(connect.CodeUnauthenticated, errors.New("log in first, or send an API token as Authorization: Bearer"))
	case rule.node != (p.Kind == Node):
		return refuse("%s may not call this", p.Actor())
	case rule.node && p.expired && !rule.pending:
		return errExpired
	case rule.node:
		return nil
	case rule.session && p.Kind == Token:
		return refuse("an API token may not do this; log in as a user")
	case p.MustChangePassword && !rule.pending:
		return refuse("choose a new password first")
	case p.Role == NoRole || p.Role < rule.least:
		return refuse("this needs the role %s; %s has %s", rule.least, p.Name, p.Role)
	}
	return nil
}

func refuse(format string, args ...any) error {
	return connect.NewError(connect.CodePermissionDenied, fmt.Errorf(format, args...))
}

type principalKey struct{}

// From returns who is calling; the zero Principal, who is anonymous, where no Guard was passed.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// With returns a context in which the principal is calling.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}
