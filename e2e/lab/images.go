package lab

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Payload is the path of the one program in every image: see e2e/payload.
const Payload = "/payload"

// Images makes images that hold the payload.
type Images struct{ layer v1.Layer }

// NewImages builds the payload.
func NewImages() (*Images, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	dir, err := Dir("payload")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "payload")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./payload")
	build.Dir = filepath.Join(root, "e2e")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the payload: %w\n%s", err, output)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the payload: %w", err)
	}
	layer, err := layerOf(map[string]string{Payload[1:]: string(program)})
	if err != nil {
		return nil, err
	}
	return &Images{layer: layer}, nil
}

// Content is what an image holds besides the payload.
type Content struct {
	Arguments []string          // of the payload, unless a container has its own
	Env       []string          // NAME=value
	Files     map[string]string // path without leading slash → content
}

// Image makes an image that runs the payload with arguments, unless a container has its own.
func (i *Images) Image(label string, arguments ...string) (v1.Image, error) {
	return i.Make(label, Content{Arguments: arguments})
}

// Make makes an image with this content. Images with different labels have different IDs.
func (i *Images) Make(label string, content Content) (v1.Image, error) {
	// Without a platform containerd takes the image for one of another machine.
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "amd64",
		OS:           "linux",
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: []string{Payload},
			Cmd:        content.Arguments,
			Env:        content.Env,
			Labels:     map[string]string{"lab": label},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", label, err)
	}
	layers := []v1.Layer{i.layer}
	if len(content.Files) > 0 {
		more, err := layerOf(content.Files)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", label, err)
		}
		layers = append(layers, more)
	}
	image, err = mutate.AppendLayers(image, layers...)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", label, err)
	}
	return image, nil
}

// layerOf makes a layer of files, by path without leading slash.
func layerOf(files map[string]string) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(files[name]))}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("layer: %w", err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			return nil, fmt.Errorf("layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	if err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	return layer, nil
}
