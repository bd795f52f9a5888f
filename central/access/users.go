package access

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

const (
	maxName        = 64
	maxDescription = 128
)

// userName is in lower case, so that Admin is not somebody else than admin.
var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,63}$`)

func checkText(field, text string, most int) *portcullisv1.FieldProblem {
	if length := utf8.RuneCountInString(text); length == 0 || length > most {
		return rpc.Problem(field, "has %d characters; write 1 to %d", length, most)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return rpc.Problem(field, "holds a control character; leave it out")
	}
	return nil
}

// Users is the UserService.
type Users struct {
	store *store.Store
	now   func() time.Time
}

// NewUsers makes the UserService.
func NewUsers(s *store.Store, now func() time.Time) *Users { return &Users{s, now} }

// CreateUser makes a user, who has to change the password that the admin knows.
func (s *Users) CreateUser(ctx context.Context, request *portcullisv1.CreateUserRequest) (*portcullisv1.CreateUserResponse, error) {
	u, err := s.newUser(ctx, request)
	if err != nil {
		return nil, err
	}
	return &portcullisv1.CreateUserResponse{User: toUser(u)}, s.store.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.CreateUser(ctx, u); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "user", u.Name, nil, toUser(u))
	})
}

func (s *Users) newUser(ctx context.Context, r *portcullisv1.CreateUserRequest) (store.User, error) {
	name := strings.ToLower(r.GetName())
	var problems []*portcullisv1.FieldProblem
	if !userName.MatchString(name) {
		problems = append(problems, rpc.Problem("name", "is not a login name; write 1 to %d letters, digits and . _ @ + - and begin with a letter or digit", maxName))
	}
	role, ok := fromRole(r.GetRole())
	if !ok {
		problems = append(problems, rpc.Problem("role", "is not one; choose viewer, editor or admin"))
	}
	if r.GetPassword() != "" {
		problems = append(problems, checkPassword("password", r.GetPassword(), name)...)
	}
	if len(problems) > 0 {
		return store.User{}, rpc.Invalid(problems...)
	}
	u := store.User{Name: name, Role: role.String(), CreateTime: s.now(), External: r.GetPassword() == ""}
	if u.External {
		return u, nil
	}
	u.MustChangePassword = true
	var err error
	u.PasswordHash, err = hashPassword(ctx, r.GetPassword())
	return u, err
}

// ListUsers returns all users.
func (s *Users) ListUsers(ctx context.Context, _ *portcullisv1.ListUsersRequest) (*portcullisv1.ListUsersResponse, error) {
	response := &portcullisv1.ListUsersResponse{}
	return response, s.store.Read(ctx, func(tx *store.Tx) error {
		users, err := tx.Users(ctx)
		response.Users = nil
		for _, u := range users {
			response.Users = append(response.Users, toUser(u))
		}
		return err
	})
}

// DeleteUser removes a user with their sessions and tokens.
func (s *Users) DeleteUser(ctx context.Context, request *portcullisv1.DeleteUserRequest) (*portcullisv1.DeleteUserResponse, error) {
	return &portcullisv1.DeleteUserResponse{}, s.store.Tx(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, strings.ToLower(request.GetName()))
		if err != nil {
			return err
		}
		if err := tx.DeleteUser(ctx, u.Name); err != nil {
			return err
		}
		if err := someAdminLeft(ctx, tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "user", u.Name, toUser(u), nil)
	})
}

// someAdminLeft fails a transaction after which nobody could manage users.
func someAdminLeft(ctx context.Context, tx *store.Tx) error {
	users, err := tx.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		if !u.Disabled && ParseRole(u.Role) == Admin {
			return nil
		}
	}
	return connect.NewError(connect.CodeFailedPrecondition, errors.New("this is the last admin; make somebody else admin first"))
}
