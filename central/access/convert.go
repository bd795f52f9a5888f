package access

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
)

func toUser(u store.User) *portcullisv1.User {
	return &portcullisv1.User{
		Name: u.Name, Role: toRole(ParseRole(u.Role)), External: u.External, Disabled: u.Disabled,
		MustChangePassword: u.MustChangePassword, CreateTime: toTime(u.CreateTime), LastLoginTime: toTime(u.LastLoginTime),
	}
}

func toToken(t store.Token) *portcullisv1.Token {
	return &portcullisv1.Token{
		Id: t.ID, Description: t.Description, User: t.User, Role: toRole(ParseRole(t.Role)),
		CreateTime: toTime(t.CreateTime), ExpireTime: toTime(t.ExpireTime), LastUseTime: toTime(t.LastUseTime),
	}
}

// The numbers of the API's roles are ours.
func toRole(r Role) portcullisv1.Role { return portcullisv1.Role(r) } //nolint:gosec // G115: there are four

func fromRole(r portcullisv1.Role) (Role, bool) {
	return Role(r), r >= portcullisv1.Role_ROLE_VIEWER && r <= portcullisv1.Role_ROLE_ADMIN
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
