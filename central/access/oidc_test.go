package access_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/access"
	"portcullis/central/store"
)

// withOIDC adds a login by a real OpenID provider, which runs beside.
func withOIDC(t *testing.T, roles map[access.Role][]string) (*fixture, *mockoidc.MockOIDC) {
	t.Helper()
	provider, err := mockoidc.Run()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, provider.Shutdown()) })
	f := newFixture(t)
	config := provider.Config()
	o := access.NewOIDC(f.sessions, access.OIDCOptions{
		Issuer: config.Issuer, ClientID: config.ClientID, ClientSecret: config.ClientSecret, URL: f.server.URL,
		Scopes: []string{"openid", "email", "profile", "groups"}, NameClaim: "email", RolesClaim: "groups", Roles: roles, Client: &http.Client{},
	})
	f.mux.HandleFunc("GET "+access.OIDCLoginPath, o.Login)
	f.mux.HandleFunc("GET "+access.OIDCCallbackPath, o.Callback)
	f.mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "at "+r.URL.RequestURI()) })
	return f, provider
}

var roles = map[access.Role][]string{access.Admin: {"ops"}, access.Viewer: {"staff", "ops"}}

func person(subject, email string, groups ...string) *mockoidc.MockUser {
	return &mockoidc.MockUser{Subject: subject, Email: email, EmailVerified: true, Groups: groups}
}

func (c *caller) get(address string) (int, string) {
	c.t.Helper()
	response, err := c.http.Get(address)
	require.NoError(c.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response.StatusCode, strings.TrimSpace(string(body))
}

// sso logs in as the person, and returns what the browser shows in the end.
func (c *caller) sso(provider *mockoidc.MockOIDC, p *mockoidc.MockUser) (int, string) {
	c.t.Helper()
	provider.QueueUser(p)
	return c.get(c.server.URL + access.OIDCLoginPath + "?return=/events%3Fpage=2")
}

func TestAPersonOfTheProviderBecomesAUserWithTheRoleOfTheirGroups(t *testing.T) {
	f, provider := withOIDC(t, roles)
	c := f.caller()
	status, shown := c.sso(provider, person("s1", "Ann@example.com", "other", "staff"))
	require.Equal(t, http.StatusOK, status, shown)
	require.Equal(t, "at /events?page=2", shown)
	me, err := c.whoAmI()
	require.NoError(t, err)
	require.Equal(t, "ann@example.com", me.GetUser().GetName())
	require.True(t, me.GetUser().GetExternal())
	require.Equal(t, portcullisv1.Role_ROLE_VIEWER, me.GetUser().GetRole())

	first := c.cookie(sessionCookie)
	status, shown = c.sso(provider, person("s1", "ann.smith@example.com", "ops"))
	require.Equal(t, http.StatusOK, status, shown)
	me, err = c.whoAmI()
	require.NoError(t, err)
	require.Equal(t, "ann@example.com", me.GetUser().GetName(), "a new address does not make somebody else")
	require.Equal(t, portcullisv1.Role_ROLE_ADMIN, me.GetUser().GetRole(), "the greatest of all groups")
	old := f.caller()
	old.token = first
	_, err = old.whoAmI()
	require.Error(t, err, "the session of before the login has ended")
}

func TestWhoIsRefusedByOIDC(t *testing.T) {
	f, provider := withOIDC(t, roles)
	f.addUser("local@example.com", access.Admin)
	require.NoError(t, f.store.Tx(ctx, func(tx *store.Tx) error {
		return tx.CreateUser(ctx, store.User{Name: "off@example.com", Role: "viewer", External: true, Subject: "", Disabled: true})
	}))
	status, _ := f.caller().sso(provider, person("s1", "ann@example.com", "ops"))
	require.Equal(t, http.StatusOK, status)
	unverified := person("s5", "eve@example.com", "ops")
	unverified.EmailVerified = false
	for why, p := range map[string]*mockoidc.MockUser{
		"has no role here":                person("s2", "bob@example.com", "other"),
		"belongs to another user":         person("s3", "ann@example.com", "ops"), // the address passed to somebody else
		"local@example.com belongs":       person("s4", "local@example.com", "ops"),
		"has not verified the e-mail":     unverified,
		"off@example.com may not log in":  person("s6", "off@example.com", "ops"),
		"claim email is not a login name": person("s7", "a b@example.com", "ops"),
	} {
		c := f.caller()
		status, shown := c.sso(provider, p)
		require.Equal(t, http.StatusForbidden, status, shown)
		require.Contains(t, shown, why)
		require.Empty(t, c.cookie(sessionCookie))
	}
}

func TestWithoutRolesAnAdminMakesTheUsers(t *testing.T) {
	f, provider := withOIDC(t, nil)
	require.NoError(t, f.store.Tx(ctx, func(tx *store.Tx) error {
		return tx.CreateUser(ctx, store.User{Name: "ann@example.com", Role: "editor", External: true})
	}))
	c := f.caller()
	status, _ := c.sso(provider, person("s1", "ann@example.com"))
	require.Equal(t, http.StatusOK, status)
	me, err := c.whoAmI()
	require.NoError(t, err)
	require.Equal(t, portcullisv1.Role_ROLE_EDITOR, me.GetUser().GetRole())
	status, shown := f.caller().sso(provider, person("s2", "bob@example.com"))
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, shown, "is not a user here")
}

// begin begins a login and returns where the provider would send the browser back to.
func (c *caller) begin(provider *mockoidc.MockOIDC, p *mockoidc.MockUser) *url.URL {
	c.t.Helper()
	provider.QueueUser(p)
	stop := *c.http
	var back *url.URL
	stop.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == access.OIDCCallbackPath {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	response, err := stop.Get(c.server.URL + access.OIDCLoginPath)
	require.NoError(c.t, err)
	response.Body.Close()
	require.NotNil(c.t, back)
	return back
}

func TestALoginThatAnotherBrowserBeganIsNotEnded(t *testing.T) {
	f, provider := withOIDC(t, roles)
	mallory, victim := f.caller(), f.caller()
	link := mallory.begin(provider, person("m", "mallory@example.com", "staff")).String()
	status, _ := victim.get(link)
	require.Equal(t, http.StatusUnauthorized, status, "the victim would work as mallory")
	require.Empty(t, victim.cookie(sessionCookie))

	victim.begin(provider, person("v", "victim@example.com", "staff"))
	status, _ = victim.get(link)
	require.Equal(t, http.StatusUnauthorized, status, "the state is of another login")
}

func TestACodeOfAnotherLoginIsWorthNothing(t *testing.T) {
	f, provider := withOIDC(t, roles)
	mallory, victim := f.caller(), f.caller()
	stolen := victim.begin(provider, person("v", "victim@example.com", "ops")).Query().Get("code")
	own := mallory.begin(provider, person("m", "mallory@example.com", "staff"))
	query := own.Query()
	query.Set("code", stolen)
	own.RawQuery = query.Encode()
	status, _ := mallory.get(own.String())
	require.Equal(t, http.StatusUnauthorized, status, "PKCE and the nonce bind the code to the browser")
	require.Empty(t, mallory.cookie(sessionCookie))
}

func TestALoginCannotBeRepeated(t *testing.T) {
	f, provider := withOIDC(t, roles)
	c := f.caller()
	link := c.begin(provider, person("s", "ann@example.com", "staff")).String()
	status, shown := c.get(link)
	require.Equal(t, http.StatusOK, status, shown)
	status, _ = c.get(link)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestAProviderThatIsAwayIsSaidAndAskedAgainLater(t *testing.T) {
	f := newFixture(t)
	o := access.NewOIDC(f.sessions, access.OIDCOptions{Issuer: "http://127.0.0.1:1", Client: &http.Client{}})
	f.mux.HandleFunc("GET "+access.OIDCLoginPath, o.Login)
	status, shown := f.caller().get(f.server.URL + access.OIDCLoginPath)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, shown, "cannot be reached")
}

func TestNobodyIsSentElsewhereAfterTheLogin(t *testing.T) {
	for _, path := range []string{"", "events", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "\\/evil.example", "javascript:alert(1)", "///evil.example", "/" + strings.Repeat("a", 2000)} {
		require.Equal(t, "/", access.LocalPath(path), path)
	}
	require.Equal(t, "/events?policy=a#top", access.LocalPath("/events?policy=a#top"))
}
