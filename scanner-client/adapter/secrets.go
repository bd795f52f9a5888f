package adapter

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// leastSecret is how much of a credential may be repeated at most, in bytes: too little to be of use, and enough
// to tell it from other words.
const leastSecret = 6

// secretsOf lists our credentials as we send them, as they are encoded in what we send, and as a server may
// decode them to put them into words.
func secretsOf(options *Options) []string {
	var secrets []string
	add := func(secret string) {
		if secret == "" {
			return
		}
		raw := []byte(secret)
		secrets = append(secrets, secret, url.QueryEscape(secret), url.PathEscape(secret),
			base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
	}
	add(options.Auth.Password)
	add(options.Auth.Token)
	if options.Auth.Password != "" {
		add(options.Auth.Username + ":" + options.Auth.Password)
	}
	for _, r := range options.Registries {
		_, credentials, _ := strings.Cut(r.Authorization, " ")
		add(r.Authorization)
		add(credentials)
		if decoded, err := base64.StdEncoding.DecodeString(credentials); err == nil {
			_, password, _ := strings.Cut(string(decoded), ":")
			add(string(decoded))
			add(password)
		}
	}
	// The longest first, so that no end of one is left.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(secrets)
}

// hidden takes our credentials, and beginnings of them, out of a text that somebody else wrote.
func (c *Client) hidden(text string) string {
	for _, secret := range c.secrets {
		text = without(text, secret)
	}
	return text
}

func without(text, secret string) string {
	var kept strings.Builder
	beginning := secret[:min(len(secret), leastSecret)]
	for {
		before, after, found := strings.Cut(text, beginning)
		kept.WriteString(before)
		if !found {
			return kept.String()
		}
		rest := secret[len(beginning):]
		for rest != "" && after != "" && rest[0] == after[0] {
			rest, after = rest[1:], after[1:]
		}
		kept.WriteString("…")
		text = after
	}
}

// redacted is an error whose text has been cleared of our credentials.
type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.err }

// withoutSecrets clears an error: not only the words of the adapter get into errors, so do status lines,
// headers and keys that are not understood.
func (c *Client) withoutSecrets(err error) error { return &redacted{c.hidden(err.Error()), err} }
