package access_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/centraltest"
	"portcullis/central/store"
	"portcullis/central/store/storetest"
)

func must(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	return parsed
}

func (c *caller) update(r *portcullisv1.UpdateUserRequest) error {
	_, err := c.users().UpdateUser(ctx, r)
	return err
}

func TestTheLastAdminCannotBeRemovedDemotedOrDisabled(t *testing.T) {
	f := newFixture(t)
	admin := f.as("admin", access.Admin)
	_, err := admin.users().DeleteUser(ctx, &portcullisv1.DeleteUserRequest{Name: "admin"})
	centraltest.Code(t, err, connect.CodeFailedPrecondition)
	centraltest.Code(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "admin", Role: portcullisv1.Role_ROLE_EDITOR.Enum()}), connect.CodeFailedPrecondition)
	centraltest.Code(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "admin", Disabled: proto.Bool(true)}), connect.CodeFailedPrecondition)
	_, err = admin.whoAmI()
	require.NoError(t, err)
}

func TestTwoAdminsCannotDemoteEachOtherAtTheSameTime(t *testing.T) {
	for name, database := range map[string]string{"SQLite": storetest.SQLite(t), "PostgreSQL": storetest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			f := newFixtureOn(t, database)
			ann, bob := f.as("ann", access.Admin), f.as("bob", access.Admin)
			var all sync.WaitGroup
			all.Go(func() {
				_ = ann.update(&portcullisv1.UpdateUserRequest{Name: "bob", Role: portcullisv1.Role_ROLE_VIEWER.Enum()})
			})
			all.Go(func() {
				_ = bob.update(&portcullisv1.UpdateUserRequest{Name: "ann", Role: portcullisv1.Role_ROLE_VIEWER.Enum()})
			})
			all.Wait()
			admins := 0
			require.NoError(t, f.store.Read(ctx, func(tx *store.Tx) error {
				users, err := tx.Users(ctx)
				for _, u := range users {
					if u.Role == "admin" {
						admins++
					}
				}
				return err
			}))
			require.Equal(t, 1, admins)
		})
	}
}

func TestAUserWhoIsDisabledIsOutAtOnce(t *testing.T) {
	f := newFixture(t)
	admin, ann := f.as("admin", access.Admin), f.as("ann", access.Editor)
	token, err := ann.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "ci", Role: portcullisv1.Role_ROLE_EDITOR})
	require.NoError(t, err)
	program := f.caller()
	program.token = token.GetSecret()
	_, err = program.whoAmI()
	require.NoError(t, err)

	require.NoError(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "ann", Disabled: proto.Bool(true)}))
	for _, c := range []*caller{ann, program} {
		_, err = c.whoAmI()
		centraltest.Code(t, err, connect.CodeUnauthenticated)
	}
	_, err = admin.users().DeleteUser(ctx, &portcullisv1.DeleteUserRequest{Name: "ann"})
	require.NoError(t, err)
	_, err = admin.users().CreateUser(ctx, &portcullisv1.CreateUserRequest{Name: "ann", Role: portcullisv1.Role_ROLE_ADMIN, Password: "another person's"})
	require.NoError(t, err)
	_, err = program.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated) // the token was of another ann
}

func TestATokenLosesWhatItsUserLoses(t *testing.T) {
	f := newFixture(t)
	admin, ann := f.as("admin", access.Admin), f.as("ann", access.Editor)
	token, err := ann.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "ci", Role: portcullisv1.Role_ROLE_EDITOR})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(token.GetSecret(), "pct_"))
	require.NoError(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "ann", Role: portcullisv1.Role_ROLE_VIEWER.Enum()}))
	program := f.caller()
	program.token = token.GetSecret()
	me, err := program.whoAmI()
	require.NoError(t, err)
	require.Equal(t, portcullisv1.Role_ROLE_VIEWER, me.GetUser().GetRole())
}

func TestTokensExpireAndCannotBeMoreThanTheirUser(t *testing.T) {
	f := newFixture(t)
	ann := f.as("ann", access.Viewer)
	create := func(r *portcullisv1.CreateTokenRequest) error {
		_, err := ann.session().CreateToken(ctx, r)
		return err
	}
	in := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(f.clock.Now().Add(d)) }
	viewer := portcullisv1.Role_ROLE_VIEWER
	for _, bad := range []*portcullisv1.CreateTokenRequest{
		{Description: "d", Role: portcullisv1.Role_ROLE_EDITOR}, {Description: "d"}, {Role: viewer}, {Description: "d", Role: 7}, {Description: "d", Role: -1},
		{Description: strings.Repeat("d", 129), Role: viewer}, {Description: "a\nb", Role: viewer},
		{Description: "d", Role: viewer, ExpireTime: in(-time.Hour)}, {Description: "d", Role: viewer, ExpireTime: in(366 * 24 * time.Hour)},
		{Description: "d", Role: viewer, ExpireTime: &timestamppb.Timestamp{Seconds: 1 << 60}},
	} {
		centraltest.Code(t, create(bad), connect.CodeInvalidArgument)
	}
	token, err := ann.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "d", Role: viewer, ExpireTime: in(time.Hour)})
	require.NoError(t, err)
	program := f.caller()
	program.token = token.GetSecret()
	f.clock.Add(time.Hour)
	_, err = program.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated)
}

func TestOthersTokensAreForAdmins(t *testing.T) {
	f := newFixture(t)
	admin, ann, bob := f.as("admin", access.Admin), f.as("ann", access.Editor), f.as("bob", access.Editor)
	token, err := ann.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "d", Role: portcullisv1.Role_ROLE_EDITOR})
	require.NoError(t, err)
	remove := &portcullisv1.DeleteTokenRequest{Id: token.GetToken().GetId()}
	_, err = bob.session().DeleteToken(ctx, remove)
	centraltest.Code(t, err, connect.CodeNotFound)
	_, err = bob.session().ListTokens(ctx, &portcullisv1.ListTokensRequest{All: true})
	centraltest.Code(t, err, connect.CodePermissionDenied)
	own, err := bob.session().ListTokens(ctx, &portcullisv1.ListTokensRequest{})
	require.NoError(t, err)
	require.Empty(t, own.GetTokens())
	all, err := admin.session().ListTokens(ctx, &portcullisv1.ListTokensRequest{All: true})
	require.NoError(t, err)
	require.Len(t, all.GetTokens(), 1)
	_, err = admin.session().DeleteToken(ctx, remove)
	require.NoError(t, err)
}

func TestATokenDoesNotEndOneThatMayDoMore(t *testing.T) {
	f := newFixture(t)
	ann := f.as("ann", access.Editor)
	create := func(role portcullisv1.Role) *portcullisv1.CreateTokenResponse {
		token, err := ann.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "d", Role: role})
		require.NoError(t, err)
		return token
	}
	pipeline, leaked := create(portcullisv1.Role_ROLE_EDITOR), create(portcullisv1.Role_ROLE_VIEWER)
	finder := f.caller()
	finder.token = leaked.GetSecret()
	_, err := finder.session().DeleteToken(ctx, &portcullisv1.DeleteTokenRequest{Id: pipeline.GetToken().GetId()})
	centraltest.Code(t, err, connect.CodePermissionDenied)
	_, err = finder.session().DeleteToken(ctx, &portcullisv1.DeleteTokenRequest{Id: leaked.GetToken().GetId()})
	require.NoError(t, err)
}

func TestNewUsersAreChecked(t *testing.T) {
	admin := newFixture(t).as("admin", access.Admin)
	create := func(name, password string, role portcullisv1.Role) error {
		_, err := admin.users().CreateUser(ctx, &portcullisv1.CreateUserRequest{Name: name, Role: role, Password: password})
		return err
	}
	viewer := portcullisv1.Role_ROLE_VIEWER
	for _, name := range []string{"", "a b", "<script>", "Ann\n", "-a", strings.Repeat("a", 65), "añn", "a\x00"} {
		centraltest.Code(t, create(name, good, viewer), connect.CodeInvalidArgument)
	}
	centraltest.Code(t, create("ann", "short", viewer), connect.CodeInvalidArgument)
	centraltest.Code(t, create("ann", good, portcullisv1.Role_ROLE_UNSPECIFIED), connect.CodeInvalidArgument)
	require.NoError(t, create("Ann@Example.com", good, viewer))
	centraltest.Code(t, create("ann@example.COM", good, viewer), connect.CodeAlreadyExists)
	centraltest.Code(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "nobody", Disabled: proto.Bool(true)}), connect.CodeNotFound)
	centraltest.Code(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "admin", Password: proto.String("something else")}), connect.CodeInvalidArgument)
}

func TestEveryChangeIsInTheAuditLogWithBeforeAndAfter(t *testing.T) {
	f := newFixture(t)
	admin := f.as("admin", access.Admin)
	_, err := admin.users().CreateUser(ctx, &portcullisv1.CreateUserRequest{Name: "ann", Role: portcullisv1.Role_ROLE_VIEWER, Password: good})
	require.NoError(t, err)
	require.NoError(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "ann", Role: portcullisv1.Role_ROLE_EDITOR.Enum()}))
	_, err = admin.users().DeleteUser(ctx, &portcullisv1.DeleteUserRequest{Name: "ann"})
	require.NoError(t, err)
	log, err := admin.audit().ListAuditEntries(ctx, &portcullisv1.ListAuditEntriesRequest{Kind: "user", Name: "ann"})
	require.NoError(t, err)
	require.Len(t, log.GetEntries(), 3)
	for i, want := range []string{"DeleteUser", "UpdateUser", "CreateUser"} {
		e := log.GetEntries()[i]
		require.Equal(t, want, e.GetMethod())
		require.Equal(t, "user:admin", e.GetActor())
		require.Equal(t, "127.0.0.1", e.GetAddress())
	}
	update := log.GetEntries()[1]
	require.Equal(t, "ROLE_VIEWER", update.GetBefore().AsMap()["role"])
	require.Equal(t, "ROLE_EDITOR", update.GetAfter().AsMap()["role"])
	require.Nil(t, log.GetEntries()[0].GetAfter())
	require.Nil(t, log.GetEntries()[2].GetBefore())
	logins, err := admin.audit().ListAuditEntries(ctx, &portcullisv1.ListAuditEntriesRequest{Kind: "session"})
	require.NoError(t, err)
	require.Len(t, logins.GetEntries(), 1)
	require.Equal(t, "user:admin", logins.GetEntries()[0].GetActor())
}

func TestTheAuditLogIsReadPageByPage(t *testing.T) {
	f := newFixture(t)
	admin := f.as("admin", access.Admin)
	for range 7 {
		require.NoError(t, admin.update(&portcullisv1.UpdateUserRequest{Name: "admin", Disabled: proto.Bool(false)}))
	}
	request := &portcullisv1.ListAuditEntriesRequest{PageSize: 3, Kind: "user"}
	seen := map[string]bool{}
	for pages := 1; ; pages++ {
		page, err := admin.audit().ListAuditEntries(ctx, request)
		require.NoError(t, err)
		for _, e := range page.GetEntries() {
			require.False(t, seen[e.GetId()])
			seen[e.GetId()] = true
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			require.Equal(t, 3, pages)
			break
		}
	}
	require.Len(t, seen, 7)
	for _, bad := range []*portcullisv1.ListAuditEntriesRequest{
		{PageSize: -1}, {PageSize: 501}, {PageToken: "?"}, {PageToken: "AAAA"}, {Actor: strings.Repeat("a", 257)},
	} {
		_, err := admin.audit().ListAuditEntries(ctx, bad)
		centraltest.Code(t, err, connect.CodeInvalidArgument)
	}
}
