package access_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/centraltest"
	"portcullis/central/store"
)

const sessionCookie, deviceCookie = "__Host-portcullis-session", "__Host-portcullis-device"

func (c *caller) whoAmI() (*portcullisv1.GetSessionResponse, error) {
	return c.session().GetSession(ctx, &portcullisv1.GetSessionRequest{})
}

func TestASessionLastsUntilLogout(t *testing.T) {
	c := newFixture(t).as("ann", access.Editor)
	me, err := c.whoAmI()
	require.NoError(t, err)
	require.Equal(t, "ann", me.GetUser().GetName())
	require.Equal(t, portcullisv1.Role_ROLE_EDITOR, me.GetUser().GetRole())
	secret := c.cookie(sessionCookie)
	_, err = c.session().Logout(ctx, &portcullisv1.LogoutRequest{})
	require.NoError(t, err)
	require.Empty(t, c.cookie(sessionCookie), "the browser forgets it")
	c.token = secret
	_, err = c.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated)
}

func TestTheSessionCookieIsForThisHostAndNoScript(t *testing.T) {
	f := newFixture(t)
	f.addUser("ann", access.Viewer)
	response, err := f.server.Client().Post(f.server.URL+"/portcullis.v1.SessionService/Login", "application/json", strings.NewReader(`{"name":"Ann","password":"`+good+`"}`))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Len(t, response.Cookies(), 2)
	for _, c := range response.Cookies() {
		require.True(t, strings.HasPrefix(c.Name, "__Host-"), c.Name)
		require.True(t, c.Secure)
		require.True(t, c.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, c.SameSite)
		require.Equal(t, "/", c.Path)
		require.Empty(t, c.Domain)
	}
}

func TestAProgramGetsATokenAndNoCookie(t *testing.T) {
	f := newFixture(t)
	f.addUser("ann", access.Viewer)
	c := f.caller()
	login, err := c.session().Login(ctx, &portcullisv1.LoginRequest{Name: "ann", Password: good, Token: true})
	require.NoError(t, err)
	require.Empty(t, c.cookie(sessionCookie))
	require.True(t, strings.HasPrefix(login.GetToken(), "pcs_"))
	c.token = login.GetToken()
	_, err = c.whoAmI()
	require.NoError(t, err)
}

func TestASessionOfBeforeTheLoginIsWorthNothingAfterIt(t *testing.T) {
	f := newFixture(t)
	c := f.as("mallory", access.Viewer)
	planted := c.cookie(sessionCookie)
	f.addUser("ann", access.Admin)
	require.NoError(t, c.login("ann", good))
	require.NotEqual(t, planted, c.cookie(sessionCookie))
	other := f.caller()
	other.token = planted
	_, err := other.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated)
}

func TestASessionEndsWhenItIsNotUsedAndAtLastAnyway(t *testing.T) {
	c := newFixture(t).as("ann", access.Viewer)
	for range 9 {
		c.clock.Add(50 * time.Minute)
		_, err := c.whoAmI()
		require.NoError(t, err)
	}
	c.clock.Add(31 * time.Minute) // over 8 h after the login
	_, err := c.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated)

	require.NoError(t, c.login("ann", good))
	c.clock.Add(idle)
	_, err = c.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated)
}

func TestSecretsAreNotInTheDatabase(t *testing.T) {
	f := newFixture(t)
	c := f.as("ann", access.Viewer)
	token, err := c.session().CreateToken(ctx, &portcullisv1.CreateTokenRequest{Description: "d", Role: portcullisv1.Role_ROLE_VIEWER})
	require.NoError(t, err)
	require.NoError(t, f.store.Read(ctx, func(tx *store.Tx) error {
		for _, query := range []string{
			"SELECT COUNT(*) FROM sessions WHERE CAST(hash AS TEXT) LIKE '%' || $1 || '%'",
			"SELECT COUNT(*) FROM tokens WHERE CAST(hash AS TEXT) LIKE '%' || $1 || '%' OR description LIKE '%' || $1 || '%'",
			"SELECT COUNT(*) FROM audit WHERE before LIKE '%' || $1 || '%' OR after LIKE '%' || $1 || '%' OR name LIKE '%' || $1 || '%'",
		} {
			for _, secret := range []string{c.cookie(sessionCookie)[4:], token.GetSecret()[4:], good} {
				var found int
				require.NoError(t, tx.QueryRow(ctx, query, secret).Scan(&found))
				require.Zero(t, found)
			}
		}
		return nil
	}))
}

func TestAWrongNameAndAWrongPasswordSayTheSame(t *testing.T) {
	f := newFixture(t)
	f.addUser("ann", access.Viewer)
	require.NoError(t, f.store.Tx(ctx, func(tx *store.Tx) error {
		_ = tx.CreateUser(ctx, store.User{Name: "sso", Role: "viewer", External: true})
		return tx.CreateUser(ctx, store.User{Name: "off", Role: "viewer", PasswordHash: access.GoodHash(), Disabled: true})
	}))
	var told []string
	for name, password := range map[string]string{"ann": "wrong", "nobody": good, "sso": "", "off": good, "a\x00b": good, "' OR 1=1 --": good} {
		err := f.caller().login(name, password)
		centraltest.Code(t, err, connect.CodeUnauthenticated)
		told = append(told, err.Error())
	}
	for _, text := range told {
		require.Equal(t, told[0], text)
	}
	centraltest.Code(t, f.caller().login(strings.Repeat("a", 65), good), connect.CodeInvalidArgument)
	centraltest.Code(t, f.caller().login("ann", strings.Repeat("a", 1000)), connect.CodeInvalidArgument)
}

func TestADatabaseThatFailsDuringALoginIsNotAWrongPassword(t *testing.T) {
	f := newFixture(t)
	f.addUser("ann", access.Viewer)
	require.NoError(t, f.store.Tx(ctx, func(tx *store.Tx) error { // of the one connection that writes
		_, err := tx.Exec(ctx, "CREATE TEMP TABLE users (broken INTEGER)")
		return err
	}))
	centraltest.Code(t, f.caller().login("ann", good), connect.CodeInternal)
}

func TestGuessingIsSlowedDownAndDoesNotKeepTheOwnerOut(t *testing.T) {
	f := newFixture(t)
	owner := f.as("admin", access.Admin)
	require.NotEmpty(t, owner.cookie(deviceCookie))
	stranger := f.caller()
	for range 10 { // the owner's own login is none
		centraltest.Code(t, stranger.login("admin", "wrong"), connect.CodeUnauthenticated)
	}
	err := stranger.login("admin", good)
	centraltest.Code(t, err, connect.CodeResourceExhausted)
	var told *connect.Error
	require.ErrorAs(t, err, &told)
	require.Equal(t, "30", told.Meta().Get("Retry-After"))
	require.NoError(t, owner.login("admin", good), "a browser that was logged in before is not kept out")

	forger := f.caller()
	forger.jar.SetCookies(must(t, f.server.URL), []*http.Cookie{{Name: deviceCookie, Value: "AAAA.BBBB", Secure: true, Path: "/"}})
	centraltest.Code(t, forger.login("admin", good), connect.CodeResourceExhausted)

	f.clock.Add(30 * time.Second)
	require.NoError(t, stranger.login("admin", good), "nobody is locked out for ever")
}

func TestLoginsThatSucceedAreNoGuesses(t *testing.T) {
	f := newFixture(t)
	f.addUser("robot", access.Viewer)
	for range 40 { // each from a browser that is not known
		require.NoError(t, f.caller().login("robot", good))
	}
	for range 10 {
		centraltest.Code(t, f.caller().login("robot", "wrong"), connect.CodeUnauthenticated)
	}
	centraltest.Code(t, f.caller().login("robot", good), connect.CodeResourceExhausted)
}

func TestADeviceIsKnownForItsOwnNameOnly(t *testing.T) {
	f := newFixture(t)
	mallory := f.as("mallory", access.Viewer)
	f.addUser("admin", access.Admin)
	for range 10 {
		centraltest.Code(t, mallory.login("admin", "wrong"), connect.CodeUnauthenticated)
	}
	centraltest.Code(t, mallory.login("admin", "wrong"), connect.CodeResourceExhausted)
}

func TestOneAddressCannotGuessTheNamesOfMany(t *testing.T) {
	f := newFixture(t)
	for i := range 20 {
		centraltest.Code(t, f.caller().login(strings.Repeat("u", i+1), "password1234"), connect.CodeUnauthenticated)
	}
	centraltest.Code(t, f.caller().login("another", "password1234"), connect.CodeResourceExhausted)
}

func TestTheFirstAdminHasToChooseAPasswordBeforeAnythingElse(t *testing.T) {
	f := newFixture(t)
	password, err := access.FirstAdmin(ctx, f.store, f.clock.Now())
	require.NoError(t, err)
	again, err := access.FirstAdmin(ctx, f.store, f.clock.Now())
	require.NoError(t, err)
	require.Empty(t, again, "there is one already")

	c := f.caller()
	require.NoError(t, c.login("admin", password))
	me, err := c.whoAmI()
	require.NoError(t, err)
	require.True(t, me.GetUser().GetMustChangePassword())
	_, err = c.users().ListUsers(ctx, &portcullisv1.ListUsersRequest{})
	centraltest.Code(t, err, connect.CodePermissionDenied)
	require.ErrorContains(t, err, "choose a new password first")

	change := func(old, chosen string) error {
		_, err := c.session().ChangePassword(ctx, &portcullisv1.ChangePasswordRequest{OldPassword: old, NewPassword: chosen})
		return err
	}
	other := f.caller()
	require.NoError(t, other.login("admin", password))
	for _, bad := range []string{"", "short", "aaaaaaaaaaaaaaaa", "Admin-admin-1234", strings.Repeat("abcdefgh", 17), password} {
		centraltest.Code(t, change(password, bad), connect.CodeInvalidArgument)
	}
	centraltest.Code(t, change("wrong", good), connect.CodeInvalidArgument)
	require.NoError(t, change(password, good))
	_, err = c.users().ListUsers(ctx, &portcullisv1.ListUsersRequest{})
	require.NoError(t, err)
	_, err = other.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated) // other sessions have ended
	centraltest.Code(t, f.caller().login("admin", password), connect.CodeUnauthenticated)
}

func TestAResetPasswordLetsTheAdminInAgain(t *testing.T) {
	f := newFixture(t)
	c := f.as("admin", access.Viewer) // was demoted, too
	password, err := access.ResetPassword(ctx, f.store, "admin", f.clock.Now())
	require.NoError(t, err)
	_, err = c.whoAmI()
	centraltest.Code(t, err, connect.CodeUnauthenticated)
	require.NoError(t, c.login("admin", password))
	me, err := c.whoAmI()
	require.NoError(t, err)
	require.Equal(t, portcullisv1.Role_ROLE_ADMIN, me.GetUser().GetRole())
	_, err = access.ResetPassword(ctx, f.store, "nobody", f.clock.Now())
	require.ErrorContains(t, err, `there is no user "nobody"; reset the password of admin`)
}

func TestAGuessCostsAtLeastWhatOWASPAsksFor(t *testing.T) {
	require.GreaterOrEqual(t, access.RealEffort.Memory, uint32(19<<10))
	require.GreaterOrEqual(t, access.RealEffort.Iterations, uint32(2))
	require.True(t, strings.HasPrefix(access.GoodHash(), "$argon2id$"))
}
