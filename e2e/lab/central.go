package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/api/portcullis/v1/portcullisv1connect"
)

// Central is a portcullis-central, on SQLite unless its options say otherwise.
type Central struct {
	URL string
	// Client is logged in as the first admin.
	Client *http.Client
	// Data is a file system of its own, where the options say so, else nil.
	Data *Disk
	*process

	dir, path, config string
	options           CentralOptions
}

// CentralOptions are the settings that tests change.
type CentralOptions struct {
	Settings string // lines of its configuration, besides what every one has
	Database string // URL of a PostgreSQL database; default SQLite in the data folder
	DataSize int64  // of a file system for the data folder, in bytes; default the lab's own
}

// CentralPassword is what the first admin of every central chooses.
const CentralPassword = "correct horse battery"

// centrals counts them, for their addresses.
var centrals atomic.Uint32

// StartCentral starts a central that knows nothing yet, and logs in.
func StartCentral() (*Central, error) { return StartCentralWith(CentralOptions{}) }

// StartCentralWith is StartCentral with options.
func StartCentralWith(options CentralOptions) (*Central, error) {
	c, err := newCentral(options)
	if err != nil {
		return nil, err
	}
	return c, c.firstStart(c.firstLogin)
}

// Replica starts another central on the same database, and logs in there as well.
func (c *Central) Replica() (*Central, error) {
	other, err := newCentral(c.options)
	if err != nil {
		return nil, err
	}
	return other, other.firstStart(func() error { return other.login(CentralPassword) })
}

// firstStart leaves no process behind when it fails.
func (c *Central) firstStart(login func() error) error {
	if err := c.Start(); err != nil {
		return err
	}
	if err := login(); err != nil {
		return errors.Join(fmt.Errorf("first login: %w", err), c.Stop())
	}
	return nil
}

func newCentral(options CentralOptions) (*Central, error) {
	n := centrals.Add(1)
	dir, err := Dir(fmt.Sprintf("central-%d", n))
	if err != nil {
		return nil, err
	}
	path, err := built("portcullis-central")
	if err != nil {
		return nil, err
	}
	host := fmt.Sprintf("127.2.%d.%d", n>>8, n&0xff)
	c := &Central{URL: "https://" + host + ":8443", dir: dir, path: path, config: filepath.Join(dir, "central.yaml"), options: options}
	config := fmt.Sprintf("listen: %[1]s:8443\nurl: %[2]s\nnames: [%[1]s]\ndata: %[3]s/data\nmetrics: {address: %[1]s:9465}\nlog: {level: debug}\n", host, c.URL, dir)
	config += options.Settings
	if options.Database != "" {
		config += fmt.Sprintf("database: %q\n", options.Database)
	}
	if options.DataSize > 0 {
		if c.Data, err = MountDisk(filepath.Join(dir, "data"), options.DataSize); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(c.config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("configuring central: %w", err)
	}
	return c, nil
}

// Start starts central and waits until it is ready. It may have run before.
func (c *Central) Start() error {
	p, err := startProcess("portcullis-central", c.dir, exec.Command(c.path, "--config", c.config))
	if err != nil {
		return err
	}
	c.process = p
	return p.await(func(ctx context.Context) error {
		if c.Client == nil {
			if err := c.trust(); err != nil {
				return err
			}
		}
		_, err := c.Ready(ctx)
		return err
	})
}

// Ready returns what /readyz says; an error where that is not that central is ready.
func (c *Central) Ready(ctx context.Context) (string, error) {
	return c.do(ctx, http.MethodGet, "/readyz", nil)
}

// trust makes a client that knows central by the authority it has made.
func (c *Central) trust() error {
	authority, err := os.ReadFile(filepath.Join(c.dir, "data", "ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("ca.crt holds no certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	c.Client = &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	return nil
}

func (c *Central) login(password string) error {
	sessions := portcullisv1connect.NewSessionServiceClient(c.Client, c.URL)
	_, err := sessions.Login(context.Background(), &portcullisv1.LoginRequest{Name: "admin", Password: password})
	return err
}

// firstLogin logs in with the password that central has printed, and chooses another.
func (c *Central) firstLogin() error {
	password := ""
	for lines := bufio.NewScanner(strings.NewReader(c.Log())); lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), "one-time password "); ok {
			password = after
		}
	}
	if err := c.login(password); err != nil {
		return err
	}
	sessions := portcullisv1connect.NewSessionServiceClient(c.Client, c.URL)
	_, err := sessions.ChangePassword(context.Background(), &portcullisv1.ChangePasswordRequest{OldPassword: password, NewPassword: CentralPassword})
	return err
}

// Upload sends the report of an image.
func (c *Central) Upload(ctx context.Context, imageID string, report []byte) error {
	_, err := c.do(ctx, http.MethodPost, "/api/v1/reports?image="+url.QueryEscape(imageID), report)
	return err
}

// Events returns all events of a node as central gives them as CSV, a map for each by the names of the columns.
func (c *Central) Events(ctx context.Context, node string) ([]map[string]string, error) {
	text, err := c.do(ctx, http.MethodGet, "/api/v1/events.csv?node="+url.QueryEscape(node), nil)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("events of central: %w", err)
	}
	var events []map[string]string
	for _, row := range rows[1:] {
		event := map[string]string{}
		for i, column := range rows[0] {
			event[column] = row[i]
		}
		events = append(events, event)
	}
	return events, nil
}

// JoinToken makes a token for one node on the command line, as an admin of the machine would.
func (c *Central) JoinToken() (string, error) {
	var problem bytes.Buffer
	command := exec.Command(c.path, "token", "create", "--config", c.config)
	command.Stderr = &problem
	token, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("join token: %w: %s", err, problem.String())
	}
	return strings.TrimSpace(string(token)), nil
}

// do expects that central does what it is asked.
func (c *Central) do(ctx context.Context, method, path string, body []byte) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("asking central: %w", err)
	}
	response, err := c.Client.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking central: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("asking central: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking central: %s: %s %s", path, response.Status, answer)
	}
	return string(answer), nil
}
