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
	"slices"

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

// archiveImage reads index.json, which is OCI's, or manifest.json, which is docker's. Many archives have
// both, and which of them counts is the choice of whoever imports the archive.
func archiveImage(ctx context.Context, archive files, name string, platform v1.Platform) (*Image, error) {
	index, err := readFile(archive, "index.json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	manifest, err := readFile(archive, "manifest.json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case index == nil && manifest == nil:
		return nil, errors.New("neither index.json nor manifest.json in it: write it with docker save, ctr images export or skopeo copy")
	case index == nil:
		return savedImage(archive, manifest, name)
	}
	image, err := layoutImage(ctx, archive, index, name, platform)
	if err == nil && manifest != nil {
		err = sameImage(archive, manifest, name, image.ID)
	}
	if err != nil {
		return nil, err
	}
	return image, nil
}

// sameImage makes sure that manifest.json, too, leads to nothing but the image with the ID.
func sameImage(archive files, manifest []byte, name, id string) error {
	images, err := parseSaved(manifest)
	if err != nil {
		return err
	}
	meant := images
	if name != "" {
		meant = slices.DeleteFunc(slices.Clone(images), func(s saved) bool { return !slices.ContainsFunc(s.RepoTags, named(name)) })
	}
	if len(meant) == 0 {
		return fmt.Errorf("manifest.json has no image %q and index.json has: write the archive anew. It has %q", name, tagsOf(images))
	}
	for _, s := range meant {
		config, err := readFile(archive, s.Config)
		if err != nil {
			return fmt.Errorf("config in manifest.json: %w", err)
		}
		if other := idOf(config); other != id {
			return fmt.Errorf("index.json leads to the image %s and manifest.json to %s: which one runs depends on who imports the archive. Write it anew with one image, or choose one that both have with --name: %q", id, other, tagsOf(images))
		}
	}
	return nil
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

func parseSaved(raw []byte) ([]saved, error) {
	var images []saved
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(images) == 0 {
		return nil, errors.New("manifest.json: 0 images in it")
	}
	return images, nil
}

func savedImage(archive files, raw []byte, name string) (*Image, error) {
	images, err := parseSaved(raw)
	if err != nil {
		return nil, err
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
	if name == "" {
		if len(images) > 1 {
			return saved{}, fmt.Errorf("%d images in it, choose one with --name: %q", len(images), tagsOf(images))
		}
		return images[0], nil
	}
	for _, image := range images {
		if slices.ContainsFunc(image.RepoTags, named(name)) {
			return image, nil
		}
	}
	return saved{}, fmt.Errorf("no image %q in it; it has %q", name, tagsOf(images))
}

func tagsOf(images []saved) []string {
	var tags []string
	for _, image := range images {
		tags = append(tags, image.RepoTags...)
	}
	return tags
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
