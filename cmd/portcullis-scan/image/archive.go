package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Archive opens the image in a tar file of docker save or of an OCI layout, or in the folder of an OCI
// layout. name, such as "shop/web:1.2", chooses between several images.
func Archive(ctx context.Context, file, name string, platform v1.Platform) (*Image, error) {
	archive, err := openFiles(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	image, err := archiveImage(ctx, archive, name, platform)
	if err != nil {
		archive.Close()
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return image, nil
}

// files are those in a folder or in a tar file. open returns fs.ErrNotExist for one that is not there.
type files interface {
	io.Closer
	open(name string) (io.ReadCloser, error)
	size(name string) int64
}

func openFiles(file string) (files, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(file)
		return folder{root}, err
	}
	return openTar(file)
}

func archiveImage(ctx context.Context, archive files, name string, platform v1.Platform) (*Image, error) {
	raw, err := readFile(archive, "index.json")
	if err == nil {
		return layoutImage(ctx, archive, raw, name, platform)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	raw, err = readFile(archive, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("neither index.json nor manifest.json in it: write it with docker save, ctr images export or skopeo copy")
	}
	if err != nil {
		return nil, err
	}
	return savedImage(archive, raw, name)
}

func layoutImage(ctx context.Context, archive files, raw []byte, name string, platform v1.Platform) (*Image, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	open := func(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
		return archive.open(path.Join("blobs", d.Digest.Algorithm, d.Digest.Hex))
	}
	return fromIndex(ctx, index, open, name, platform, archive)
}

// fromIndex makes the image that is chosen from an index.
func fromIndex(ctx context.Context, index *v1.IndexManifest, open blobs, name string, platform v1.Platform, closer io.Closer) (*Image, error) {
	among, err := candidates(ctx, index, nil, open, 0)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(among, name, platform)
	if err != nil {
		return nil, err
	}
	return fromDescriptor(ctx, chosen, open, closer)
}

func fromDescriptor(ctx context.Context, d v1.Descriptor, open blobs, closer io.Closer) (*Image, error) {
	raw, err := document(ctx, d, open)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	return fromManifest(ctx, manifest, open, closer)
}

// saved is one image in the manifest.json of docker save.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func savedImage(archive files, raw []byte, name string) (*Image, error) {
	var images []saved
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	chosen, err := chooseSaved(images, name)
	if err != nil {
		return nil, err
	}
	config, err := readFile(archive, chosen.Config)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	layers := make([]Layer, len(chosen.Layers))
	for i, file := range chosen.Layers {
		layers[i] = Layer{
			Size:   archive.size(file),
			stored: func(context.Context) (io.ReadCloser, error) { return archive.open(file) },
		}
	}
	return fromConfig(config, layers, archive)
}

func chooseSaved(images []saved, name string) (saved, error) {
	var found []saved
	var tags []string
	for _, image := range images {
		tags = append(tags, image.RepoTags...)
		for _, tag := range image.RepoTags {
			if tag == name {
				return image, nil
			}
		}
		if name == "" {
			found = append(found, image)
		}
	}
	if len(found) != 1 {
		return saved{}, fmt.Errorf("%d images in it, choose one with --name: %q", len(images), tags)
	}
	return found[0], nil
}

func readFile(archive files, name string) ([]byte, error) {
	r, err := archive.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := readDocument(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return raw, nil
}
