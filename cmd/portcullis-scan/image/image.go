// Package image answers: which image is this, and what are its layers?
package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	maxDocument = 8 << 20 // bytes of one manifest, index or config
	maxLayers   = 1024    // overlayfs takes 500
)

// Image is an image whose layers can be read as often as wanted, until Close.
type Image struct {
	// ID is the digest of the config: "sha256:…".
	ID string
	// Config holds the start command, the environment and the history.
	Config *v1.ConfigFile
	// Layers are in the order in which they are applied.
	Layers []Layer

	closer io.Closer
}

// Close gives up the files and connections behind the layers.
func (i *Image) Close() { i.closer.Close() }

// Layer is one layer of an image.
type Layer struct {
	// Size is that of the layer as it is stored, in bytes; most are compressed.
	Size int64

	diffID v1.Hash
	stored func(context.Context) (io.ReadCloser, error)
}

// Open reads the layer as a tar archive. Reading up to the end fails when the content is not what the
// image's config promises: a verdict about an image ID must rest on the content of that ID. read, when
// not nil, is told how many stored bytes were read.
func (l Layer) Open(ctx context.Context, read func(bytes int)) (io.ReadCloser, error) {
	stored, err := l.stored(ctx)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", l.diffID, err)
	}
	archive, err := decompress(&source{ctx: ctx, Reader: stored, read: read})
	if err != nil {
		stored.Close()
		return nil, fmt.Errorf("layer %s: %w", l.diffID, err)
	}
	return &layerReader{ctx: ctx, archive: archive, stored: stored, sum: sha256.New(), diffID: l.diffID}, nil
}

// blobs gives the documents and layers that a manifest names.
type blobs func(ctx context.Context, descriptor v1.Descriptor) (io.ReadCloser, error)

// fromManifest makes the image of an image manifest.
func fromManifest(ctx context.Context, manifest *v1.Manifest, open blobs, closer io.Closer) (*Image, error) {
	raw, err := document(ctx, manifest.Config, open)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	stored := make([]Layer, len(manifest.Layers))
	for i, descriptor := range manifest.Layers {
		stored[i] = Layer{
			Size:   descriptor.Size,
			stored: func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, descriptor) },
		}
	}
	return fromConfig(raw, stored, closer)
}

// fromConfig makes the image of a config and of its layers as they are stored.
func fromConfig(raw []byte, layers []Layer, closer io.Closer) (*Image, error) {
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	diffIDs := config.RootFS.DiffIDs
	switch {
	case len(diffIDs) != len(layers):
		return nil, fmt.Errorf("config names %d layers and the manifest %d: not an image that a runtime takes", len(diffIDs), len(layers))
	case len(layers) > maxLayers:
		return nil, fmt.Errorf("%d layers, at most %d are read", len(layers), maxLayers)
	}
	for i := range layers {
		if diffIDs[i].Algorithm != "sha256" {
			return nil, fmt.Errorf("layer %s: only sha256 digests are understood", diffIDs[i])
		}
		layers[i].diffID = diffIDs[i]
	}
	return &Image{ID: idOf(raw), Config: config, Layers: layers, closer: closer}, nil
}

// idOf returns the ID of the image with a config.
func idOf(config []byte) string {
	sum := sha256.Sum256(config)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// document reads a manifest, an index or a config, and checks that it is what the descriptor names.
func document(ctx context.Context, descriptor v1.Descriptor, open blobs) ([]byte, error) {
	r, err := open(ctx, descriptor)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := readDocument(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", descriptor.Digest, err)
	}
	sum := sha256.Sum256(raw)
	if descriptor.Digest.String() != "sha256:"+hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%s: content has another digest: damaged", descriptor.Digest)
	}
	return raw, nil
}

func readDocument(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxDocument:
		return nil, fmt.Errorf("larger than %d bytes", maxDocument)
	}
	return raw, nil
}

var errDamagedLayer = errors.New("content has another digest than the image's config names: damaged or forged")
