package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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

// Central is a portcullis-central on SQLite, as a first start makes it.
type Central struct {
	URL string
	// Client is logged in as the first admin.
	Client *http.Client
	*process

	dir, path, config string
}

// CentralPassword is what the first admin of every central chooses.
const CentralPassword = "correct horse battery"

// centrals counts them, for their addresses.
var centrals atomic.Uint32

// StartCentral starts a central that knows nothing yet, and logs in. Settings are lines of its configuration.
func StartCentral(settings ...string) (*Central, error) {
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
	c := &Central{URL: "https://" + host + ":8443", dir: dir, path: path, config: filepath.Join(dir, "central.yaml")}
	config := fmt.Sprintf("listen: %[1]s:8443\nurl: %[2]s\nnames: [%[1]s]\ndata: %[3]s/data\nmetrics: {address: %[1]s:9465}\nlog: {level: debug}\n", host, c.URL, dir)
	config += strings.Join(settings, "")
	if err := os.WriteFile(c.config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("configuring central: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if err := c.login(); err != nil {
		return nil, errors.Join(fmt.Errorf("first login: %w", err), c.Stop())
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
		return c.do(ctx, http.MethodGet, "/readyz", nil)
	})
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

// login logs in with the password that central has printed, and chooses another.
func (c *Central) login() error {
	password := ""
	for lines := bufio.NewScanner(strings.NewReader(c.Log())); lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), "one-time password "); ok {
			password = after
		}
	}
	sessions, ctx := portcullisv1connect.NewSessionServiceClient(c.Client, c.URL), context.Background()
	if _, err := sessions.Login(ctx, &portcullisv1.LoginRequest{Name: "admin", Password: password}); err != nil {
		return err
	}
	_, err := sessions.ChangePassword(ctx, &portcullisv1.ChangePasswordRequest{OldPassword: password, NewPassword: CentralPassword})
	return err
}

// Upload sends the report of an image.
func (c *Central) Upload(ctx context.Context, imageID string, report []byte) error {
	return c.do(ctx, http.MethodPost, "/api/v1/reports?image="+url.QueryEscape(imageID), report)
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
func (c *Central) do(ctx context.Context, method, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking central: %w", err)
	}
	response, err := c.Client.Do(request)
	if err != nil {
		return fmt.Errorf("asking central: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("asking central: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking central: %s: %s %s", path, response.Status, answer)
	}
	return nil
}
