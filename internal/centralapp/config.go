package centralapp

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/internal/strictyaml"
)

// Config is the configuration file of portcullis-central; docs/central.md describes it for users.
type Config struct {
	Listen   string   `yaml:"listen"`
	URL      string   `yaml:"url"`
	Data     string   `yaml:"data"`
	Database string   `yaml:"database"`
	Names    []string `yaml:"names"`
	TLS      TLS      `yaml:"tls"`
	Sessions Sessions `yaml:"sessions"`
	OIDC     *OIDC    `yaml:"oidc"`
	Events   Events   `yaml:"events"`
	Audit    Audit    `yaml:"audit"`
	Timeouts Timeouts `yaml:"timeouts"`
	Metrics  Metrics  `yaml:"metrics"`
	Log      Log      `yaml:"log"`

	Notifications Notifications `yaml:"notifications"`
}

// TLS names the operator's own certificate; all empty for one that central makes itself.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	Authority   string `yaml:"authority"`
}

// Sessions says how long a login lasts: when it is not used, and at most.
type Sessions struct {
	Idle     time.Duration `yaml:"idle"`
	Lifetime time.Duration `yaml:"lifetime"`
}

// Events says how long an event is kept after it happened last.
type Events struct {
	Retention time.Duration `yaml:"retention"`
}

// Audit says how long an entry of the audit log is kept.
type Audit struct {
	Retention time.Duration `yaml:"retention"`
}

// Notifications says whom notifications may reach.
type Notifications struct {
	// AllowLocal lets them reach this machine and its link.
	AllowLocal bool `yaml:"allowLocal"`
}

// Timeouts bound what central waits for.
type Timeouts struct {
	// Drain is how long calls under way may take to end when central stops.
	Drain time.Duration `yaml:"drain"`
}

// Metrics says where /metrics is served; an empty address serves none.
type Metrics struct {
	Address string `yaml:"address"`
}

// Log says what central's own log holds and how it looks.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// DefaultFile is read when no other is named, and need not exist.
const DefaultFile = "/etc/portcullis/portcullis-central.yaml"

func defaults() Config {
	return Config{
		Listen:   ":8443",
		Data:     "/var/lib/portcullis-central",
		Sessions: Sessions{Idle: 2 * time.Hour, Lifetime: 24 * time.Hour},
		Events:   Events{Retention: 180 * 24 * time.Hour},
		Audit:    Audit{Retention: 365 * 24 * time.Hour},
		Timeouts: Timeouts{Drain: 10 * time.Second},
		Metrics:  Metrics{Address: "127.0.0.1:9465"},
		Log:      Log{Level: "info", Format: "text"},
	}
}

// ReadConfig reads and validates the configuration file at path; where that is empty, the default one
// if there is one. data, where it is not empty, is the data folder whatever the file says. The error
// names every mistake.
func ReadConfig(path, data string) (Config, error) {
	config := defaults()
	named := path != ""
	if !named {
		path = DefaultFile
	}
	text, err := os.ReadFile(path)
	docs := []*strictyaml.Document{{}}
	var problems strictyaml.Problems
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
	case err != nil:
		return Config{}, fmt.Errorf("configuration: %w", err)
	default:
		if docs, problems = strictyaml.Split(path, text); problems.Err() != nil {
			return Config{}, problems
		}
		problems = docs[0].Decode(&config)
	}
	if data != "" {
		config.Data = data
	}
	if absolute, err := filepath.Abs(config.Data); err == nil && data != "" {
		config.Data = absolute
	}
	if config.OIDC != nil {
		config.OIDC.setDefaults()
	}
	if config.Database == "" {
		config.Database = "sqlite:" + filepath.Join(config.Data, "central.db")
	}
	problems = problems.With(config.validate(docs[0]))
	if len(docs) > 1 {
		problems = append(problems, docs[1].Problem("", "is a second document; write everything in one, without ---"))
	}
	return config, problems.Err()
}

// SQLite says whether central keeps its database itself.
func (c *Config) SQLite() bool { return strings.HasPrefix(c.Database, "sqlite:") }

// checker gathers mistakes.
type checker struct {
	doc      *strictyaml.Document
	problems strictyaml.Problems
}

func (c *checker) expect(ok bool, field, format string, args ...any) {
	if !ok {
		c.problems = append(c.problems, c.doc.Problem(field, format, args...))
	}
}

func (c *Config) validate(doc *strictyaml.Document) strictyaml.Problems {
	check := &checker{doc: doc}
	c.validateAddresses(check)
	check.expect(filepath.IsAbs(c.Data), "data", "%q is not an absolute path", c.Data)
	scheme, rest, _ := strings.Cut(c.Database, ":")
	sqlite := c.SQLite() && filepath.IsAbs(rest)
	check.expect(sqlite || scheme == "postgres" || scheme == "postgresql", "database", "is not one that is known; write postgres://user@host/name or sqlite:/path/to/file, or leave it out")
	for i, name := range c.Names {
		check.expect(name != "" && !strings.ContainsAny(name, "/: ") || net.ParseIP(name) != nil, fmt.Sprintf("names[%d]", i), "%q is neither a host name nor an address", name)
	}
	own := c.TLS == TLS{}
	for field, path := range map[string]string{"certificate": c.TLS.Certificate, "key": c.TLS.Key, "authority": c.TLS.Authority} {
		check.expect(own || filepath.IsAbs(path), "tls."+field, "%q is not an absolute path; certificate, key and authority are needed together", path)
	}
	check.expect(c.Sessions.Idle >= time.Minute && c.Sessions.Idle <= c.Sessions.Lifetime, "sessions.idle", "%s is out of range; set at least 1m and at most sessions.lifetime", c.Sessions.Idle)
	check.expect(c.Sessions.Lifetime <= 30*24*time.Hour, "sessions.lifetime", "%s is out of range; set at most 720h", c.Sessions.Lifetime)
	for field, retention := range map[string]time.Duration{"events": c.Events.Retention, "audit": c.Audit.Retention} {
		check.expect(retention >= 24*time.Hour && retention <= 10*365*24*time.Hour, field+".retention", "%s is out of range; set 24h to 87600h", retention)
	}
	check.expect(c.Timeouts.Drain > 0 && c.Timeouts.Drain <= 10*time.Minute, "timeouts.drain", "%s is out of range; set more than 0 and at most 10m", c.Timeouts.Drain)
	c.validateOIDC(check)
	_, err := logrus.ParseLevel(c.Log.Level)
	check.expect(err == nil, "log.level", "unknown level %q; write error, warning, info, debug or trace", c.Log.Level)
	check.expect(c.Log.Format == "text" || c.Log.Format == "json", "log.format", "unknown format %q; write text or json", c.Log.Format)
	return check.problems
}

func (c *Config) validateAddresses(check *checker) {
	_, _, err := net.SplitHostPort(c.Listen)
	check.expect(err == nil, "listen", "%q is not an address; write host:port, such as :8443", c.Listen)
	if c.Metrics.Address != "" {
		_, _, err := net.SplitHostPort(c.Metrics.Address)
		check.expect(err == nil, "metrics.address", "%q is not an address; write host:port, such as 127.0.0.1:9465", c.Metrics.Address)
	}
	if c.URL != "" {
		address, err := url.Parse(c.URL)
		good := err == nil && address.Scheme == "https" && address.Host != "" && strings.Trim(address.Path, "/") == "" && address.RawQuery == ""
		check.expect(good, "url", "%q is not where people reach central; write such as https://central.example.com:8443", c.URL)
	}
}

// NewLogger makes central's log as configured, to standard error.
func (c *Config) NewLogger() *logrus.Logger {
	log := logrus.New()
	if level, err := logrus.ParseLevel(c.Log.Level); err == nil {
		log.SetLevel(level)
	}
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	if c.Log.Format == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	}
	return log
}

// url is where nodes reach central: as configured, or by this machine's name.
func (c *Config) url() string {
	if c.URL != "" {
		return c.URL
	}
	host, port, _ := net.SplitHostPort(c.Listen) // validated
	if address := net.ParseIP(host); host == "" || address != nil && address.IsUnspecified() {
		host = "localhost"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}
