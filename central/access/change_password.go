package access

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// ChangePassword changes the caller's own password and ends their other sessions.
func (s *Sessions) ChangePassword(ctx context.Context, request *portcullisv1.ChangePasswordRequest) (*portcullisv1.ChangePasswordResponse, error) {
	caller := From(ctx)
	old, chosen := request.GetOldPassword(), request.GetNewPassword()
	if problems := checkPassword("new_password", chosen, caller.Name); len(problems) > 0 {
		return nil, rpc.Invalid(problems...)
	}
	if old == chosen {
		return nil, rpc.Invalid(rpc.Problem("new_password", "is the old one; choose another"))
	}
	if len(old) > maxPassword*4 {
		return nil, rpc.Invalid(rpc.Problem("old_password", "is longer than one can be"))
	}
	if wait := s.limiter.take("change "+caller.Name, nameBurst, nameEvery); wait > 0 {
		return nil, tooMany(wait)
	}
	was, err := s.check(ctx, caller.Name, old)
	switch {
	case was.External:
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("who logs in by OIDC has no password here"))
	case errors.Is(err, errLogin):
		return nil, rpc.Invalid(rpc.Problem("old_password", "is wrong"))
	case err != nil:
		return nil, err
	}
	hash, err := hashPassword(ctx, chosen)
	if err != nil {
		return nil, err
	}
	return &portcullisv1.ChangePasswordResponse{}, s.store.Tx(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, caller.Name)
		if err != nil {
			return err
		}
		if u.PasswordHash != was.PasswordHash {
			return store.ErrRevision
		}
		before := toUser(u)
		u.PasswordHash, u.MustChangePassword = hash, false
		if err := tx.UpdateUser(ctx, u); err != nil {
			return err
		}
		if err := tx.DeleteSessions(ctx, u.Name, caller.session); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "user", u.Name, before, toUser(u))
	})
}
