// Package adapter answers: what does a scanner behind Harbor's pluggable scanner API say about an image?
//
// It asks the scanner to scan the image in its registry and waits for the report. A scan that takes
// longer than the caller waits goes on, and the next lookup of the image finds it.
package adapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/formats/harbor"
	"portcullis/scanner-client/verdict"
)

// Options of a Client; zero values take the defaults.
type Options struct {
	URL    string // of the adapter, without /api/v1
	Auth   Auth
	CAFile string // PEM file of the authorities that the adapter's certificate is checked with; default the system's
	// Registries are the registries that the scanner can pull from, by host name. Without any, it is
	// asked to pull from wherever the node did, without credentials.
	Registries map[string]Registry
	// Platform is what the scanner scans where a digest stands for an image of each platform,
	// os/architecture; default linux/amd64. Its reports show images of another platform neither clean
	// nor risky.
	Platform string
	// NodePlatform is what this node runs; default that of the program on Linux.
	NodePlatform string
	MaxReport    int64         // bytes of one report; default 64 MiB
	Poll         time.Duration // between two questions for a report, where the adapter does not say; default 1s
	Now          func() time.Time
}

// Auth says who we are. At most one of the two ways is set.
type Auth struct {
	Username, Password string
	Token              string // bearer
}

// Registry is how the scanner reaches a registry.
type Registry struct {
	URL           string // default https:// and the host name
	Authorization string // value of the header that the scanner sends to the registry
}

// Client is a scanner.Source of one adapter.
type Client struct {
	options Options
	base    string
	http    *http.Client
	secrets []string // in every form in which somebody may repeat them

	mu sync.Mutex
	// scans are those whose report nobody has taken yet, by image ID.
	scans *simplelru.LRU[string, string]
}

var _ scanner.Source = (*Client)(nil)

// Kinds are what adapters can tell of.
func Kinds() []verdict.Kind { return []verdict.Kind{verdict.KindVulnerabilities} }

// remembered bounds how many scans under way are remembered.
const remembered = 1024

// New makes a client. It does not connect yet.
func New(options Options) (*Client, error) {
	base, err := url.Parse(options.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("adapter: URL is not http(s)://host[:port]")
	}
	switch {
	case base.User != nil:
		return nil, errors.New("adapter: URL holds credentials; set them under auth, where they are kept out of logs")
	case options.Auth.Token != "" && options.Auth.Username+options.Auth.Password != "":
		return nil, errors.New("adapter: both a token and a user name; set one")
	}
	options.Platform = cmp.Or(options.Platform, "linux/amd64")
	options.NodePlatform = cmp.Or(options.NodePlatform, "linux/"+runtime.GOARCH)
	options.MaxReport = cmp.Or(options.MaxReport, 64<<20)
	options.Poll = cmp.Or(options.Poll, time.Second)
	if options.Now == nil {
		options.Now = time.Now
	}
	transport, err := newTransport(options.CAFile)
	if err != nil {
		return nil, err
	}
	scans, _ := simplelru.NewLRU[string, string](remembered, nil) // fails for sizes below 1 only
	return &Client{options: options, base: strings.TrimSuffix(options.URL, "/") + "/api/v1", scans: scans, secrets: secretsOf(&options), http: &http.Client{
		Transport: transport,
		// A redirect means "not ready yet" here, and its target is nobody's business.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Verdict has the image scanned and waits for the report until ctx ends; a scan that is under way then is
// scanner.ErrPending. An image that was not pulled from a registry cannot be scanned by an adapter.
func (c *Client) Verdict(ctx context.Context, image scanner.Image) (*verdict.Verdict, error) {
	artifact, ok := c.artifact(image)
	if !ok {
		return nil, scanner.ErrUnscanned
	}
	report, err := c.resume(ctx, image.ID)
	if report == nil && err == nil {
		report, err = c.scan(ctx, image.ID, artifact)
	}
	if err != nil {
		err = fmt.Errorf("adapter: %w", c.withoutSecrets(err))
	}
	if report == nil {
		return nil, err
	}
	for _, digest := range report.About.Digests {
		if digest != artifact.Artifact.Digest {
			return nil, errors.New("adapter: the report is about another image than the one that was to be scanned")
		}
	}
	v := report.Verdict
	v.ImageID = image.ID
	if v.ScannedAt.IsZero() {
		v.ScannedAt = c.options.Now().UTC()
	}
	if !formats.SamePlatform(c.options.Platform, c.options.NodePlatform) {
		v.Scanned = nil // what is in the image of another platform is likely in this one, too
	}
	if err != nil && len(v.Vulnerabilities) == 0 {
		return nil, err
	}
	return &v, err
}

// resume takes the report of a scan that an earlier lookup began. It returns nil without an error when
// there is none, or the adapter has forgotten it.
func (c *Client) resume(ctx context.Context, imageID string) (*formats.Report, error) {
	c.mu.Lock()
	scan, ok := c.scans.Get(imageID)
	c.mu.Unlock()
	if !ok {
		return nil, nil
	}
	report, err := c.await(ctx, scan)
	c.settle(imageID, err)
	if errors.Is(err, errUnknownScan) {
		return nil, nil
	}
	return report, err
}

func (c *Client) scan(ctx context.Context, imageID string, artifact request) (*formats.Report, error) {
	scan, err := c.request(ctx, artifact)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.scans.Add(imageID, scan)
	c.mu.Unlock()
	report, err := c.await(ctx, scan)
	c.settle(imageID, err)
	return report, err
}

// settle forgets a scan that has come to an end, good or bad. One that was given up waiting for has not.
func (c *Client) settle(imageID string, err error) {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scans.Remove(imageID)
}

// request is the body of a scan request.
type request struct {
	Registry registry `json:"registry"`
	Artifact artifact `json:"artifact"`
}

type registry struct {
	URL           string `json:"url"`
	Authorization string `json:"authorization,omitempty"`
}

type artifact struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	MIMEType   string `json:"mime_type"`
}

// artifact chooses the name under which the scanner can pull the image, false when there is none.
func (c *Client) artifact(image scanner.Image) (request, bool) {
	for _, name := range slices.Sorted(slices.Values(image.Digests)) {
		path, digest, ok := strings.Cut(name, "@")
		host, repository, qualified := strings.Cut(path, "/")
		if !ok || !qualified {
			continue
		}
		configured, known := c.options.Registries[host]
		if !known && len(c.options.Registries) > 0 {
			continue
		}
		if host == "docker.io" {
			host = "index.docker.io" // where its registry answers
		}
		return request{
			Registry: registry{URL: cmp.Or(configured.URL, "https://"+host), Authorization: configured.Authorization},
			Artifact: artifact{Repository: repository, Digest: digest, MIMEType: "application/vnd.oci.image.manifest.v1+json"},
		}, true
	}
	return request{}, false
}

// readAll reads a small body whole.
func readAll(body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("answer of more than %d bytes", limit)
	}
	return data, err
}

// readReport reads a report from a body that may stop half way. With an error comes what was understood.
func readReport(body io.Reader, limit int64) (*formats.Report, error) {
	stream := formats.NewStream(body, limit)
	report, err := harbor.Read(stream)
	if err == nil {
		err = stream.End()
	}
	return formats.Finished(report, err)
}
