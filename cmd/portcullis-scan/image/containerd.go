package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Containerd opens an image that containerd holds, read from its content store. reference is a name or
// an image ID; namespace is "k8s.io" for what the kubelet runs.
func Containerd(ctx context.Context, socket, namespace, reference string, platform v1.Platform) (*Image, error) {
	connection, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", socket, err)
	}
	store := contentStore{content: contentapi.NewContentClient(connection), namespace: namespace}
	image, err := store.image(ctx, imagesapi.NewImagesClient(connection), reference, platform, connection)
	if err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("runtime %s: image %s: %w", socket, reference, err)
	}
	return image, nil
}

// contentStore reads the blobs of one namespace.
type contentStore struct {
	content   contentapi.ContentClient
	namespace string
}

func (s contentStore) in(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", s.namespace)
}

func (s contentStore) image(ctx context.Context, images imagesapi.ImagesClient, reference string, platform v1.Platform, closer io.Closer) (*Image, error) {
	target, err := s.find(ctx, images, reference)
	if err != nil {
		return nil, err
	}
	if !target.MediaType.IsIndex() {
		return fromDescriptor(ctx, target, s.open, closer)
	}
	raw, err := document(ctx, target, s.open)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	// A runtime fetches one platform of an index, so nothing else may be looked for in it.
	return fromIndex(ctx, index, s.open, "", platform, closer)
}

// find asks for the reference as it was written, then as containerd writes it.
func (s contentStore) find(ctx context.Context, images imagesapi.ImagesClient, reference string) (v1.Descriptor, error) {
	for _, candidate := range spellings(reference) {
		answer, err := images.Get(s.in(ctx), &imagesapi.GetImageRequest{Name: candidate})
		switch status.Code(err) {
		case codes.OK:
			target := answer.GetImage().GetTarget()
			digest, err := v1.NewHash(target.GetDigest())
			if err != nil {
				return v1.Descriptor{}, err
			}
			return v1.Descriptor{MediaType: types.MediaType(target.GetMediaType()), Digest: digest, Size: target.GetSize()}, nil
		case codes.NotFound:
			continue
		case codes.Unimplemented:
			return v1.Descriptor{}, errors.New("this runtime is not containerd; scan the image from its registry or from an archive")
		}
		return v1.Descriptor{}, errors.New(status.Convert(err).Message())
	}
	return v1.Descriptor{}, fmt.Errorf("not in namespace %s; see ctr -n %s images ls", s.namespace, s.namespace)
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

func spellings(reference string) []string {
	written := []string{reference}
	if hexDigest.MatchString(reference) {
		return append(written, "sha256:"+reference)
	}
	if parsed, err := name.ParseReference(reference); err == nil {
		full := strings.Replace(parsed.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
		written = append(written, full)
	}
	return written
}

func (s contentStore) open(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(s.in(ctx))
	stream, err := s.content.Read(ctx, &contentapi.ReadContentRequest{Digest: d.Digest.String()})
	if err != nil {
		cancel()
		return nil, errors.New(status.Convert(err).Message())
	}
	return &contentReader{stream: stream, cancel: cancel}, nil
}

// contentReader reads a blob in the pieces in which containerd sends it.
type contentReader struct {
	stream grpc.ServerStreamingClient[contentapi.ReadContentResponse]
	cancel context.CancelFunc
	rest   []byte
}

func (r *contentReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		answer, err := r.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return 0, io.EOF
		case status.Code(err) == codes.NotFound:
			return 0, errors.New("its content is no longer in the runtime (discard_unpacked_layers?); scan the image from its registry")
		case err != nil:
			return 0, errors.New(status.Convert(err).Message())
		}
		r.rest = answer.GetData()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *contentReader) Close() error {
	r.cancel()
	return nil
}
