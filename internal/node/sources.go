package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/internal/strictyaml"
	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/adapter"
	"portcullis/scanner-client/reports"
)

// Source is one place that verdicts come from. Exactly one of Reports and Adapter is set.
type Source struct {
	Name string `yaml:"name"`
	// Reports is a folder of report files.
	Reports string `yaml:"reports"`
	// Adapter is a scanner behind Harbor's pluggable scanner API.
	Adapter *Adapter `yaml:"adapter"`
	// Timeout bounds one question to this source.
	Timeout time.Duration `yaml:"timeout"`
}

// Adapter says how a scanner adapter is reached. Passwords and tokens stand in files of their own.
type Adapter struct {
	URL          string              `yaml:"url"`
	Username     string              `yaml:"username"`
	PasswordFile string              `yaml:"passwordFile"`
	TokenFile    string              `yaml:"tokenFile"`
	CAFile       string              `yaml:"caFile"`
	Platform     string              `yaml:"platform"`
	Registries   map[string]Registry `yaml:"registries"`
}

// Registry says how the scanner reaches a registry that images of this node come from.
type Registry struct {
	URL               string `yaml:"url"`
	AuthorizationFile string `yaml:"authorizationFile"`
}

// maxSecret bounds a file that holds a password or a token, in bytes.
const maxSecret = 64 << 10

func (c *Config) validateSources(doc *strictyaml.Document) strictyaml.Problems {
	var problems strictyaml.Problems
	names := map[string]bool{}
	for i, s := range c.Sources {
		field := fmt.Sprintf("sources[%d]", i)
		switch {
		case s.Name == "":
			problems = append(problems, doc.Problem(field+".name", "required; it stands in logs and metrics"))
		case names[s.Name]:
			problems = append(problems, doc.Problem(field+".name", "%q is the name of two sources; choose another", s.Name))
		}
		if s.Name == "central" {
			problems = append(problems, doc.Problem(field+".name", "%q is how what central tells is called; choose another", s.Name))
		}
		names[s.Name] = true
		switch {
		case (s.Reports == "") == (s.Adapter == nil):
			problems = append(problems, doc.Problem(field, "write either reports: FOLDER or adapter: {url: …}"))
		case s.Adapter != nil:
			if _, err := s.Adapter.options(); err != nil {
				problems = append(problems, doc.Problem(field+".adapter", "%v", err))
			}
		case !filepath.IsAbs(s.Reports):
			problems = append(problems, doc.Problem(field+".reports", "%q is not an absolute path", s.Reports))
		}
		if s.Timeout < 0 || s.Timeout > time.Hour {
			problems = append(problems, doc.Problem(field+".timeout", "%s is out of range; set more than 0 and at most 1h", s.Timeout))
		}
	}
	return problems
}

// options reads the files that the adapter's configuration names.
func (a *Adapter) options() (adapter.Options, error) {
	options := adapter.Options{
		URL: a.URL, CAFile: a.CAFile, Platform: a.Platform,
		Auth: adapter.Auth{Username: a.Username}, Registries: map[string]adapter.Registry{},
	}
	var failures []error
	secret := func(path string) string {
		text, err := readSecret(path)
		failures = append(failures, err)
		return text
	}
	options.Auth.Password = secret(a.PasswordFile)
	options.Auth.Token = secret(a.TokenFile)
	for host, r := range a.Registries {
		options.Registries[host] = adapter.Registry{URL: r.URL, Authorization: secret(r.AuthorizationFile)}
	}
	if err := errors.Join(failures...); err != nil {
		return options, err
	}
	client, err := adapter.New(options)
	if err == nil {
		err = client.Close()
	}
	return options, err
}

func readSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecret {
		err = fmt.Errorf("%s is larger than %d bytes; it should hold one secret", path, maxSecret)
	}
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}

// openSources makes the chain of sources, and the folders among them.
func (n *Node) openSources() (*scanner.Chain, error) {
	var links []scanner.Link
	if n.uplink != nil {
		// What central tells is what its console shows, so it has the first word; half of the time that a
		// container waits is left for the node's own sources.
		links = append(links, scanner.Link{Name: "central", Source: n.uplink, Timeout: n.config.Timeouts.Decision / 2})
	}
	for _, s := range n.config.Sources {
		link := scanner.Link{Name: s.Name, Timeout: s.Timeout}
		if s.Adapter == nil {
			folder := reports.NewFolder(s.Reports, reports.Options{Log: n.log})
			n.folders = append(n.folders, &reportsFolder{Folder: folder, path: s.Reports, index: filepath.Join(n.config.State, "reports-"+s.Name+".index")})
			link.Source = folder
			links = append(links, link)
			continue
		}
		options, err := s.Adapter.options()
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		client, err := adapter.New(options)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		n.onStop(client.Close)
		link.Source, link.Kinds = client, adapter.Kinds()
		links = append(links, link)
	}
	return scanner.NewChain(scanner.ChainOptions{Failed: func(source string, err error) {
		n.log.WithError(err).WithField("source", source).Warn("verdict source failed")
	}}, links...), nil
}

// reportsFolder is a folder of reports and where its index is kept over a restart.
type reportsFolder struct {
	*reports.Folder
	path  string
	index string
}

// runtimeImages tells the names of an image as the container runtime holds them.
type runtimeImages struct{ runtime cri.ImageServiceClient }

// Image returns the image with this ID.
func (r runtimeImages) Image(ctx context.Context, id string) (scanner.Image, error) {
	answer, err := r.runtime.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: id}})
	if err != nil {
		return scanner.Image{}, err
	}
	if answer.GetImage() == nil {
		return scanner.Image{}, status.Errorf(codes.NotFound, "the runtime does not have image %s", id)
	}
	return named(answer.GetImage()), nil
}

// Images returns every image of the node.
func (r runtimeImages) Images(ctx context.Context) ([]scanner.Image, error) {
	answer, err := r.runtime.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return nil, err
	}
	images := make([]scanner.Image, len(answer.GetImages()))
	for i, image := range answer.GetImages() {
		images[i] = named(image)
	}
	return images, nil
}

func named(image *cri.Image) scanner.Image {
	return scanner.Image{ID: image.GetId(), Tags: image.GetRepoTags(), Digests: image.GetRepoDigests()}
}
