package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/rpc"
	"portcullis/central/store"
)

// errLogin does not tell which of the two is wrong.
var errLogin = errors.New("name or password is wrong")

// Login checks a password and begins a session.
func (s *Sessions) Login(ctx context.Context, request *portcullisv1.LoginRequest) (*portcullisv1.LoginResponse, error) {
	name, password := strings.ToLower(request.GetName()), request.GetPassword()
	for field, tooLong := range map[string]bool{"name": len(name) > maxName, "password": len(password) > maxPassword*4} {
		if tooLong {
			return nil, rpc.Invalid(rpc.Problem(field, "is longer than one can be"))
		}
	}
	header, setHeader := headers(ctx)
	address, device := From(ctx).Address, cookie(header, deviceCookie)
	if wait := s.limiter.attempt(name, address, device); wait > 0 {
		return nil, tooMany(wait)
	}
	u, secret, expires, err := s.login(ctx, name, password, cookie(header, sessionCookie))
	if errors.Is(err, errLogin) {
		s.options.Log.WithField("user", name).WithField("address", address).Warn("login failed")
		return nil, connect.NewError(connect.CodeUnauthenticated, errLogin)
	}
	if err != nil {
		return nil, err
	}
	s.limiter.succeeded(name, address, device)
	response := &portcullisv1.LoginResponse{User: toUser(u), ExpireTime: timestamppb.New(expires)}
	if request.GetToken() {
		response.Token = secret
		return response, nil
	}
	s.setCookies(setHeader, u.Name, secret, device)
	return response, nil
}

func (s *Sessions) login(ctx context.Context, name, password, old string) (u store.User, secret string, expires time.Time, err error) {
	was, err := s.check(ctx, name, password)
	if err != nil {
		return u, "", expires, err
	}
	err = s.store.Tx(ctx, func(tx *store.Tx) error {
		u, err = tx.User(ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || u.PasswordHash != was.PasswordHash || u.Disabled { // since it was checked
			return errLogin
		}
		secret, expires, err = s.begin(ctx, tx, u, "password", old)
		return err
	})
	return u, secret, expires, err
}

func (s *Sessions) setCookies(header http.Header, name, secret, device string) {
	header.Add("Set-Cookie", newCookie(sessionCookie, secret, s.options.Lifetime).String())
	if !s.limiter.isDevice(name, device) {
		header.Add("Set-Cookie", newCookie(deviceCookie, s.limiter.newDevice(name), deviceLife).String())
	}
}

func tooMany(wait time.Duration) error {
	err := connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("too many logins failed; try again in %s", wait))
	err.Meta().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	return err
}

// check returns the user when the password is right, and takes as long when it is not.
func (s *Sessions) check(ctx context.Context, name, password string) (store.User, error) {
	var u store.User
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		u, err = tx.User(ctx, name)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrText) {
		return u, err
	}
	hash := u.PasswordHash
	if err != nil || u.Disabled || u.External {
		hash = ""
	}
	right, err := passwordIs(ctx, password, hash)
	if err == nil && !right {
		err = errLogin
	}
	return u, err
}
