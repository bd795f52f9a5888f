package access

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// UpdateUser changes role, password or whether the user may log in.
func (s *Users) UpdateUser(ctx context.Context, request *portcullisv1.UpdateUserRequest) (*portcullisv1.UpdateUserResponse, error) {
	r, name := request, strings.ToLower(request.GetName())
	hash, err := checkUpdate(ctx, r, name)
	if err != nil {
		return nil, err
	}
	response := &portcullisv1.UpdateUserResponse{}
	return response, s.store.Tx(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, name)
		if err != nil {
			return err
		}
		if hash != "" && u.External {
			return connect.NewError(connect.CodeFailedPrecondition, errors.New("who logs in by OIDC has no password here"))
		}
		before := toUser(u)
		if r.Role != nil {
			role, _ := fromRole(r.GetRole())
			u.Role = role.String()
		}
		if r.Disabled != nil {
			u.Disabled = r.GetDisabled()
		}
		if hash != "" {
			u.PasswordHash, u.MustChangePassword = hash, true
		}
		response.User = toUser(u)
		return s.update(ctx, tx, before, u, hash != "" || u.Disabled)
	})
}

func (s *Users) update(ctx context.Context, tx *store.Tx, before *portcullisv1.User, u store.User, endSessions bool) error {
	if err := tx.UpdateUser(ctx, u); err != nil {
		return err
	}
	if err := someAdminLeft(ctx, tx); err != nil {
		return err
	}
	if endSessions {
		if err := tx.DeleteSessions(ctx, u.Name, nil); err != nil {
			return err
		}
	}
	return audit.Record(ctx, tx, "user", u.Name, before, toUser(u))
}

// checkUpdate returns the hash of the new password, empty where there is none.
func checkUpdate(ctx context.Context, r *portcullisv1.UpdateUserRequest, name string) (string, error) {
	var problems []*portcullisv1.FieldProblem
	if _, ok := fromRole(r.GetRole()); r.Role != nil && !ok {
		problems = append(problems, rpc.Problem("role", "is not one; choose viewer, editor or admin"))
	}
	if r.Password != nil {
		problems = append(problems, checkPassword("password", r.GetPassword(), name)...)
		if From(ctx).Name == name {
			problems = append(problems, rpc.Problem("password", "is your own; change it by ChangePassword"))
		}
	}
	if len(problems) > 0 {
		return "", rpc.Invalid(problems...)
	}
	if r.Password == nil {
		return "", nil
	}
	return hashPassword(ctx, r.GetPassword())
}
