package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"portcullis/cmd/portcullis-scan/scratch"
)

// Registry opens an image of a registry, with the logins of docker and podman. Layers are downloaded
// once, as they are stored, into unnamed files in the folder temp.
func Registry(ctx context.Context, reference string, plainHTTP bool, platform v1.Platform, temp string) (*Image, error) {
	var options []name.Option
	if plainHTTP {
		options = append(options, name.Insecure)
	}
	parsed, err := name.ParseReference(reference, options...)
	if err != nil {
		return nil, fmt.Errorf("image %q: neither a file nor a reference: %w", reference, err)
	}
	remoteImage, err := remote.Image(parsed, remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", reference, err)
	}
	image, err := registryImage(remoteImage, temp)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", reference, err)
	}
	return image, nil
}

func registryImage(remoteImage v1.Image, temp string) (*Image, error) {
	config, err := remoteImage.RawConfigFile()
	if err != nil {
		return nil, err
	}
	remoteLayers, err := remoteImage.Layers()
	if err != nil {
		return nil, err
	}
	var all downloads
	layers := make([]Layer, len(remoteLayers))
	for i, layer := range remoteLayers {
		size, err := layer.Size()
		if err != nil {
			return nil, err
		}
		d := &download{layer: layer, temp: temp, size: size}
		all = append(all, d)
		layers[i] = Layer{Size: size, stored: d.open}
	}
	return fromConfig(config, layers, all)
}

// downloads are the layers of an image.
type downloads []*download

func (all downloads) Close() error {
	for _, d := range all {
		if d.file != nil {
			d.file.Close()
		}
	}
	return nil
}

// download is a layer that is fetched when it is first opened.
type download struct {
	layer v1.Layer
	temp  string
	size  int64

	mu   sync.Mutex
	file *os.File
}

func (d *download) open(ctx context.Context) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		if err := d.fetch(ctx); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(io.NewSectionReader(d.file, 0, d.size)), nil
}

func (d *download) fetch(ctx context.Context) error {
	mediaType, err := d.layer.MediaType()
	if err != nil {
		return err
	}
	if !mediaType.IsDistributable() {
		// Its manifest says from which addresses to get it, and those are its author's choice.
		return errors.New("not kept in the registry (a foreign layer): scan the image from a runtime or an archive")
	}
	compressed, err := d.layer.Compressed()
	if err != nil {
		return err
	}
	defer compressed.Close()
	file, err := scratch.File(d.temp)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, io.LimitReader(&source{ctx: ctx, Reader: compressed}, d.size+1))
	if err == nil && n != d.size {
		err = fmt.Errorf("is %d bytes or more and should be %d", n, d.size)
	}
	if err != nil {
		file.Close()
		return err
	}
	d.file = file
	return nil
}
