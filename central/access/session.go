package access

import (
	"context"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/audit"
	"portcullis/central/store"
)

// GetLoginOptions says how one can log in here.
func (s *Sessions) GetLoginOptions(context.Context, *portcullisv1.GetLoginOptionsRequest) (*portcullisv1.GetLoginOptionsResponse, error) {
	options := &portcullisv1.GetLoginOptionsResponse{Password: true}
	if s.options.OIDCName != "" {
		options.OidcUrl, options.OidcName = OIDCLoginPath, s.options.OIDCName
	}
	return options, nil
}

// GetSession says who is calling.
func (s *Sessions) GetSession(ctx context.Context, _ *portcullisv1.GetSessionRequest) (*portcullisv1.GetSessionResponse, error) {
	caller := From(ctx)
	response := &portcullisv1.GetSessionResponse{Version: s.options.Version, ExpireTime: toTime(caller.expires)}
	return response, s.store.Read(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, caller.Name)
		response.User = toUser(u)
		response.User.Role = toRole(caller.Role)
		return err
	})
}

// Logout ends the caller's session.
func (s *Sessions) Logout(ctx context.Context, _ *portcullisv1.LogoutRequest) (*portcullisv1.LogoutResponse, error) {
	caller := From(ctx)
	err := s.store.Tx(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteSession(ctx, caller.session); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "session", caller.Name, map[string]string{}, nil)
	})
	_, header := headers(ctx)
	header.Add("Set-Cookie", deleteCookie(sessionCookie).String())
	return &portcullisv1.LogoutResponse{}, err
}
