package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
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
	if len(among) == 0 {
		return v1.Descriptor{}, errors.New("no image in it")
	}
	all := listed(among)
	if name != "" {
		among = slices.DeleteFunc(among, func(c candidate) bool { return !slices.ContainsFunc(c.names, named(name)) })
		if len(among) == 0 {
			return v1.Descriptor{}, fmt.Errorf("no image %q in it; it has %s", name, all)
		}
	}
	if different(among) > 1 {
		among = slices.DeleteFunc(among, func(c candidate) bool { return c.Platform != nil && !c.Platform.Satisfies(platform) })
	}
	switch different(among) {
	case 0:
		return v1.Descriptor{}, fmt.Errorf("no image for %s in it, choose another with --platform: %s", platform.String(), all)
	case 1:
		return among[0].Descriptor, nil
	}
	return v1.Descriptor{}, fmt.Errorf("several images, choose one with --name or --platform: %s", listed(among))
}

// mostListed is how many images an error lists.
const mostListed = 20

func listed(among []candidate) string {
	texts := make([]string, 0, mostListed)
	for i, c := range among {
		if i == mostListed {
			texts = append(texts, fmt.Sprintf("and %d more", len(among)-i))
			break
		}
		texts = append(texts, c.String())
	}
	return strings.Join(texts, "; ")
}

// named says whether a name is the wanted one: in full, as docker or as containerd writes it, or only its
// tag, which is all that some tools keep.
func named(wanted string) func(string) bool {
	full := func(text string) string {
		if parsed, err := name.NewTag(text); err == nil {
			return parsed.Name()
		}
		return text
	}
	return func(name string) bool {
		return name == wanted || strings.HasSuffix(wanted, ":"+name) || strings.Contains(name, ":") && full(name) == full(wanted)
	}
}

func different(among []candidate) int {
	digests := map[v1.Hash]bool{}
	for _, c := range among {
		digests[c.Digest] = true
	}
	return len(digests)
}
