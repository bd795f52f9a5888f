// Package target answers: which central is meant, who is calling it, and whom does the caller trust?
//
// The answer is a context of the configuration file, or the environment where that names an address. A
// token is only ever sent to the address that it was saved with.
package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"portcullis/internal/strictyaml"
)

// Config is what the command line remembers between calls.
type Config struct {
	// Current is the context that is used where none is named.
	Current  string    `yaml:"current" json:"current,omitempty"`
	Contexts []Context `yaml:"contexts" json:"contexts,omitempty"`
}

// Context is one central and one login there.
type Context struct {
	Name    string `yaml:"name" json:"name"`
	Address string `yaml:"address" json:"address"`
	// CertificateAuthority is PEM; empty trusts what the machine trusts.
	CertificateAuthority string `yaml:"certificateAuthority" json:"certificateAuthority,omitempty"`
	// Token is a session's or an API token; empty when logged out.
	Token string `yaml:"token" json:"token,omitempty"`
}

// ConfigFile is where the configuration is kept.
func ConfigFile() (string, error) {
	folder := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(folder) { // the XDG specification has relative ones ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("where the configuration is: %w; set XDG_CONFIG_HOME", err)
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "portcullis", "config.yaml"), nil
}

// ReadConfig returns an empty configuration when there is none yet.
func ReadConfig() (*Config, error) {
	path, err := ConfigFile()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Config{}, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds tokens and others may read or write it; run chmod 600 %s, and log in anew if somebody may have read it", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	docs, problems := strictyaml.Split(path, text)
	if problems.Err() != nil {
		return nil, problems
	}
	config := &Config{}
	return config, docs[0].Decode(config).Err()
}

// Write replaces the file at once, so that one who is interrupted keeps the old one.
func (c *Config) Write() error {
	path, err := ConfigFile()
	if err != nil {
		return err
	}
	text, err := strictyaml.Encode(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".config-*") // 0600
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// Context returns the named context, or the current one for an empty name.
func (c *Config) Context(name string) (*Context, error) {
	if name == "" {
		name = c.Current
	}
	if name == "" {
		return nil, errors.New("no central is known; run portcullis login https://central.example.com:8443, or set PORTCULLIS_ADDRESS and PORTCULLIS_TOKEN")
	}
	for i := range c.Contexts {
		if c.Contexts[i].Name == name {
			return &c.Contexts[i], nil
		}
	}
	return nil, fmt.Errorf("there is no context %q; portcullis context list has them", name)
}

// Put adds the context, or replaces the one of its name, and makes it the current one.
func (c *Config) Put(context Context) {
	c.Current = context.Name
	i := slices.IndexFunc(c.Contexts, func(old Context) bool { return old.Name == context.Name })
	if i < 0 {
		c.Contexts = append(c.Contexts, context)
		return
	}
	c.Contexts[i] = context
}
