package centralapp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"portcullis/central/access"
)

// OIDC says where people log in who have no password here.
type OIDC struct {
	Name             string              `yaml:"name"`
	Issuer           string              `yaml:"issuer"`
	ClientID         string              `yaml:"clientID"`
	ClientSecretFile string              `yaml:"clientSecretFile"`
	Authority        string              `yaml:"authority"`
	Scopes           []string            `yaml:"scopes"`
	NameClaim        string              `yaml:"nameClaim"`
	RolesClaim       string              `yaml:"rolesClaim"`
	Roles            map[string][]string `yaml:"roles"`
}

func (o *OIDC) setDefaults() {
	if o.Name == "" {
		o.Name = "Single sign-on"
	}
	if o.Scopes == nil {
		o.Scopes = []string{"openid", "email", "profile"}
	}
	if o.NameClaim == "" {
		o.NameClaim = "email"
	}
	if o.RolesClaim == "" {
		o.RolesClaim = "groups"
	}
}

func (c *Config) validateOIDC(check *checker) {
	if c.OIDC == nil {
		return
	}
	issuer, err := url.Parse(c.OIDC.Issuer)
	check.expect(err == nil && issuer.Scheme == "https" && issuer.Host != "", "oidc.issuer", "%q is not an https URL; write the issuer as the provider names it", c.OIDC.Issuer)
	check.expect(c.OIDC.ClientID != "", "oidc.clientID", "required; set the ID that the provider gave central")
	check.expect(c.URL != "", "url", "required with oidc: the provider sends people back to it")
	for name := range c.OIDC.Roles {
		check.expect(access.ParseRole(name) != access.NoRole, "oidc.roles."+name, "%q is not a role; write viewer, editor or admin", name)
	}
}

const oidcTimeout = 10 * time.Second

// newOIDC reads what the configuration names besides.
func (c *Config) newOIDC(sessions *access.Sessions) (*access.OIDC, error) {
	options := access.OIDCOptions{
		Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, URL: strings.TrimSuffix(c.URL, "/"), Scopes: c.OIDC.Scopes,
		NameClaim: c.OIDC.NameClaim, RolesClaim: c.OIDC.RolesClaim, Roles: map[access.Role][]string{},
	}
	for name, values := range c.OIDC.Roles {
		options.Roles[access.ParseRole(name)] = values
	}
	if c.OIDC.ClientSecretFile != "" {
		secret, err := os.ReadFile(c.OIDC.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("oidc.clientSecretFile: %w", err)
		}
		options.ClientSecret = strings.TrimSpace(string(secret))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.OIDC.Authority != "" {
		text, err := os.ReadFile(c.OIDC.Authority)
		if err != nil {
			return nil, fmt.Errorf("oidc.authority: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("oidc.authority: %s holds no certificate in PEM form", c.OIDC.Authority)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	options.Client = &http.Client{Transport: transport, Timeout: oidcTimeout}
	return access.NewOIDC(sessions, options), nil
}
