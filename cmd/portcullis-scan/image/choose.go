package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxNesting is how deep indexes may stand in indexes.
const maxNesting = 3

// nameAnnotations are where an index says what an image is called.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

// candidate is one image among several, with the names that its index gives it.
type candidate struct {
	v1.Descriptor
	names []string
}

func (c candidate) String() string {
	text := c.Digest.String()
	if c.Platform != nil {
		text += " for " + c.Platform.String()
	}
	if len(c.names) > 0 {
		text += " named " + strings.Join(c.names, ", ")
	}
	return text
}

// candidates returns the images of an index and of the indexes in it. What is attached to an image,
// such as attestations, says that it is for no platform.
func candidates(ctx context.Context, index *v1.IndexManifest, names []string, open blobs, nesting int) ([]candidate, error) {
	if nesting > maxNesting {
		return nil, fmt.Errorf("indexes in indexes, at most %d deep are read", maxNesting)
	}
	var found []candidate
	for _, d := range index.Manifests {
		known := names
		for _, annotation := range nameAnnotations {
			if name := d.Annotations[annotation]; name != "" {
				known = append(slices.Clip(known), name)
			}
		}
		switch {
		case d.MediaType.IsIndex():
			raw, err := document(ctx, d, open)
			if err != nil {
				return nil, fmt.Errorf("index: %w", err)
			}
			inner, err := v1.ParseIndexManifest(bytes.NewReader(raw))
			if err != nil {
				return nil, fmt.Errorf("index %s: %w", d.Digest, err)
			}
			more, err := candidates(ctx, inner, known, open, nesting+1)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		case isImage(d.MediaType) && (d.Platform == nil || d.Platform.OS != "unknown"):
			found = append(found, candidate{Descriptor: d, names: known})
		}
	}
	return found, nil
}

func isImage(t types.MediaType) bool { return t.IsImage() || t == "" }

// choose returns the one image that is meant. The platform only decides between several: a file with
// one image for another machine is scanned as it is.
func choose(among []candidate, name string, platform v1.Platform) (v1.Descriptor, error) {
	if name != "" {
		among = slices.DeleteFunc(among, func(c candidate) bool { return !slices.ContainsFunc(c.names, named(name)) })
	}
	if different(among) > 1 {
		among = slices.DeleteFunc(among, func(c candidate) bool { return c.Platform != nil && !c.Platform.Satisfies(platform) })
	}
	switch different(among) {
	case 0:
		return v1.Descriptor{}, errors.New("no such image here for " + platform.String() + "; see --platform and --name")
	case 1:
		return among[0].Descriptor, nil
	}
	listed := make([]string, len(among))
	for i, c := range among {
		listed[i] = c.String()
	}
	return v1.Descriptor{}, fmt.Errorf("several images, choose one with --name or --platform: %s", strings.Join(listed, "; "))
}

// named says whether a name is the wanted one, in full or only its tag, which is all that some tools keep.
func named(wanted string) func(string) bool {
	return func(name string) bool { return name == wanted || strings.HasSuffix(wanted, ":"+name) }
}

func different(among []candidate) int {
	digests := map[v1.Hash]bool{}
	for _, c := range among {
		digests[c.Digest] = true
	}
	return len(digests)
}
