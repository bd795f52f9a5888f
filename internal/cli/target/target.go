package target

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// The environment variables, for CI.
const (
	addressVariable = "PORTCULLIS_ADDRESS"
	tokenVariable   = "PORTCULLIS_TOKEN"
	caVariable      = "PORTCULLIS_CA"
)

// Resolve returns what the environment says, or else the context of that name. Where the environment names
// an address, nothing is taken from the configuration: a saved token is for the central that gave it.
func Resolve(name string) (Context, error) {
	address, token, ca := os.Getenv(addressVariable), os.Getenv(tokenVariable), os.Getenv(caVariable)
	var context Context
	switch {
	case address != "" && name != "":
		return context, fmt.Errorf("--context and %s both name a central; use one", addressVariable)
	case address != "":
		parsed, err := ParseAddress(address)
		if err != nil {
			return context, fmt.Errorf("%s: %w", addressVariable, err)
		}
		context = Context{Address: parsed}
	default:
		config, err := ReadConfig()
		if err != nil {
			return context, err
		}
		saved, err := config.Context(name)
		if err != nil {
			return context, err
		}
		context = *saved
	}
	if token != "" {
		context.Token = token
	}
	if ca != "" {
		text, err := ReadAuthority(ca)
		if err != nil {
			return context, fmt.Errorf("%s: %w", caVariable, err)
		}
		context.CertificateAuthority = text
	}
	return context, nil
}

// ParseAddress takes https://host:port, with or without the scheme.
func ParseAddress(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	address, err := url.Parse(text)
	switch {
	case err != nil || address.Hostname() == "" || strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "" || address.User != nil:
		return "", errors.New("that is not an address of a central; write such as https://central.example.com:8443")
	case address.Scheme != "https":
		return "", fmt.Errorf("central is reached by https only; write https://%s", address.Host)
	}
	return "https://" + address.Host, nil
}
