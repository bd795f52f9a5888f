package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// reference is an image name, or a pattern of one, in its normal form, so that every spelling of one
// repository compares equal: docker.io/library/ is added, the registry is in lower case, its default
// port is dropped.
type reference struct {
	repository string // with its registry
	tag        string // "" when it has none
	digest     string // "sha256:…", "" when it has none
}

func parseReference(name string) reference {
	var r reference
	name, r.digest, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, r.tag = name[:colon], name[colon+1:]
	}
	registry, path, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(registry, ".:*?") && registry != "localhost" {
		registry, path = "docker.io", name
	}
	registry = strings.TrimSuffix(strings.ToLower(registry), ":443")
	if registry == "index.docker.io" || registry == "registry-1.docker.io" {
		registry = "docker.io"
	}
	if registry == "docker.io" && !strings.Contains(path, "/") && path != "**" {
		path = "library/" + path
	}
	r.repository = registry + "/" + path
	return r
}

// pattern selects images: by ID, or by the names that the runtime holds for them.
type pattern struct {
	id         string // the image ID, when it is one; the rest is unset then
	repository *glob
	tag        *glob  // nil: any tag, or none
	digest     string // "": any
}

var (
	idForm      = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	patternForm = regexp.MustCompile(`^[0-9A-Za-z.*?_-]+(:[0-9]+)?(/[0-9A-Za-z.*?_-]+)*(:[0-9A-Za-z.*?_-]+)?(@sha256:[0-9a-f]{64})?$`)
)

func checkPattern(text string) error {
	_, err := parsePattern(text)
	return err
}

func parsePattern(text string) (pattern, error) {
	switch {
	case len(text) > maxPattern:
		return pattern{}, fmt.Errorf("has %d characters, at most %d are allowed; shorten it", len(text), maxPattern)
	case idForm.MatchString(text):
		return pattern{id: text}, nil
	case strings.HasPrefix(text, "sha256:") || strings.Contains(text, "@") && !patternForm.MatchString(text):
		return pattern{}, fmt.Errorf("%q is not an image; a digest is sha256: and 64 lower-case hexadecimal digits", text)
	case strings.Trim(strings.SplitN(text, ":", 2)[0], "*?") == "":
		return pattern{}, fmt.Errorf("%q names no repository; write docker.io/library/* or registry.example.com/**, or {all: true} in a scope", text)
	case !patternForm.MatchString(text):
		return pattern{}, fmt.Errorf("%q is not an image; write an image ID, a repository such as registry.example.com/team/*, and after it :tag or @digest", text)
	}
	r := parseReference(text)
	p := pattern{repository: compileGlob(r.repository, '/'), digest: r.digest}
	if r.tag != "" {
		p.tag = compileGlob(r.tag, 0)
	}
	return p, nil
}

// named is an image with its names in normal form.
type named struct {
	id      string
	tags    []reference
	digests []reference
}

func nameImage(image *Image) named {
	n := named{id: image.ID}
	for _, tag := range image.Tags {
		n.tags = append(n.tags, parseReference(tag))
	}
	for _, digest := range image.Digests {
		n.digests = append(n.digests, parseReference(digest))
	}
	return n
}

// matches says whether the image has every name that the pattern asks for: with both a tag and a
// digest, the runtime must hold both names for the image.
func (p *pattern) matches(image *named) bool {
	if p.id != "" {
		return p.id == image.id
	}
	if p.tag == nil && p.digest == "" {
		return p.anyOf(image.tags) || p.anyOf(image.digests)
	}
	tagged, pinned := p.tag == nil, p.digest == ""
	for i := 0; i < len(image.tags) && !tagged; i++ {
		tagged = p.tag.match(image.tags[i].tag) && p.repository.match(image.tags[i].repository)
	}
	for i := 0; i < len(image.digests) && !pinned; i++ {
		pinned = p.digest == image.digests[i].digest && p.repository.match(image.digests[i].repository)
	}
	return tagged && pinned
}

func (p *pattern) anyOf(names []reference) bool {
	for i := range names {
		if p.repository.match(names[i].repository) {
			return true
		}
	}
	return false
}
