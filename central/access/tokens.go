package access

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	tokenLife    = 90 * 24 * time.Hour
	maxTokenLife = 365 * 24 * time.Hour
	maxTokens    = 100 // of one user
)

// CreateToken makes an API token of the caller's.
func (s *Sessions) CreateToken(ctx context.Context, request *portcullisv1.CreateTokenRequest) (*portcullisv1.CreateTokenResponse, error) {
	caller, now := From(ctx), s.options.Now()
	token, err := newToken(request, caller, now)
	if err != nil {
		return nil, err
	}
	var secret string
	secret, token.Hash = newSecret(tokenPrefix)
	err = s.store.Tx(ctx, func(tx *store.Tx) error {
		have, err := tx.Tokens(ctx, caller.Name)
		if err != nil {
			return err
		}
		if len(have) >= maxTokens {
			return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%s has %d tokens, which is all one can have; delete some", caller.Name, len(have)))
		}
		if err := tx.CreateToken(ctx, token); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "token", token.ID, nil, toToken(token))
	})
	if err != nil {
		return nil, err
	}
	return &portcullisv1.CreateTokenResponse{Token: toToken(token), Secret: secret}, nil
}

func newToken(r *portcullisv1.CreateTokenRequest, caller Principal, now time.Time) (store.Token, error) {
	var problems []*portcullisv1.FieldProblem
	if problem := checkText("description", r.GetDescription(), maxDescription); problem != nil {
		problems = append(problems, problem)
	}
	role, ok := fromRole(r.GetRole())
	if !ok || role > caller.Role {
		problems = append(problems, rpc.Problem("role", "is not one that you can give; choose %s or less", caller.Role))
	}
	expires := now.Add(tokenLife)
	if r.GetExpireTime() != nil {
		expires = r.GetExpireTime().AsTime()
	}
	if !expires.After(now) || expires.After(now.Add(maxTokenLife+time.Minute)) {
		problems = append(problems, rpc.Problem("expire_time", "is not within a year from now"))
	}
	if len(problems) > 0 {
		return store.Token{}, rpc.Invalid(problems...)
	}
	return store.Token{
		ID: store.NewID(), Description: r.GetDescription(), User: caller.Name, Role: role.String(), CreateTime: now, ExpireTime: expires,
	}, nil
}

// ListTokens returns the caller's, or everyone's to an admin.
func (s *Sessions) ListTokens(ctx context.Context, request *portcullisv1.ListTokensRequest) (*portcullisv1.ListTokensResponse, error) {
	caller := From(ctx)
	user := caller.Name
	if request.GetAll() {
		if caller.Role < Admin {
			return nil, refuse("tokens of everyone are for admins")
		}
		user = ""
	}
	response := &portcullisv1.ListTokensResponse{}
	return response, s.store.Read(ctx, func(tx *store.Tx) error {
		tokens, err := tx.Tokens(ctx, user)
		response.Tokens = nil
		for _, t := range tokens {
			response.Tokens = append(response.Tokens, toToken(t))
		}
		return err
	})
}

// DeleteToken ends one of the caller's tokens, or anyone's for an admin. A token ends none that may do more: who
// finds a viewer's must not be able to stop a pipeline.
func (s *Sessions) DeleteToken(ctx context.Context, request *portcullisv1.DeleteTokenRequest) (*portcullisv1.DeleteTokenResponse, error) {
	caller, id := From(ctx), request.GetId()
	return &portcullisv1.DeleteTokenResponse{}, s.store.Tx(ctx, func(tx *store.Tx) error {
		token, err := tx.Token(ctx, id)
		if err != nil {
			return err
		}
		if token.User != caller.Name && caller.Role < Admin {
			return fmt.Errorf("token %q: %w", id, store.ErrNotFound) // whether it exists is not theirs to know
		}
		if caller.Kind == Token && ParseRole(token.Role) > caller.Role {
			return refuse("an API token of the role %s may not delete one of the role %s; log in as a user", caller.Role, token.Role)
		}
		if err := tx.DeleteToken(ctx, id); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "token", id, toToken(token), nil)
	})
}
