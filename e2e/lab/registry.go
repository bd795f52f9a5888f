package lab

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registry is an image registry in this process. It speaks plain HTTP, which runtimes take from the
// loopback address only.
type Registry struct {
	Address string // host:port, the first part of every reference
	server  *http.Server
}

// StartRegistry serves an empty registry.
func StartRegistry() (*Registry, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r := &Registry{Address: listener.Addr().String(), server: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
	go func() { _ = r.server.Serve(listener) }() // ends with Close
	return r, nil
}

// Push stores image as repository:tag and returns the full reference. A tag that exists moves.
func (r *Registry) Push(repositoryAndTag string, image v1.Image) (reference string, err error) {
	ref, err := name.NewTag(r.Address + "/" + repositoryAndTag)
	if err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	if err := remote.Write(ref, image); err != nil {
		return "", fmt.Errorf("registry: pushing %s: %w", ref, err)
	}
	return ref.Name(), nil
}

// Close ends the registry.
func (r *Registry) Close() error { return r.server.Close() }
