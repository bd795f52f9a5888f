package reports

import (
	"slices"
	"strings"

	scanner "portcullis/scanner-client"
	"portcullis/scanner-client/formats"
)

// certainty is how sure it is that a report is about an image.
type certainty uint8

const (
	// no: the report is about something else.
	no certainty = iota
	// likely: the image bears a name that the report gives, but another image may bear it too, or may
	// have borne it when the scan was made. What was found counts; that nothing was found does not.
	likely
	// sure: the report names this very image.
	sure
)

// about says how surely a report is about an image, and why it is not sure where names alone would have
// made it so.
func about(report *formats.About, image scanner.Image, platform string) (certainty, string) {
	held := digestsOf(image)
	named := bareDigests(report)
	if slices.Contains(named, image.ID) {
		return sure, ""
	}
	// Docker with containerd's image store calls the index digest the image's ID.
	if report.ID != "" && !slices.Contains(held, report.ID) {
		return no, sameTag(report, image, "it is about another image, which had the same tag")
	}
	if slices.ContainsFunc(named, func(digest string) bool { return slices.Contains(held, digest) }) {
		return onPlatform(report.Platform, platform)
	}
	if len(named) > 0 && len(held) > 0 {
		return no, sameTag(report, image, "it is about another digest, which had the same tag")
	}
	if sameTag(report, image, "tag") == "" {
		return no, ""
	}
	return likely, "it names the image by tag only, and tags move"
}

// onPlatform decides about a digest that both know. It may be that of an index, which stands for an image
// of each platform.
func onPlatform(reported, own string) (certainty, string) {
	switch {
	case reported == "":
		return likely, "it names the image by a digest that may be an index, and does not say for which platform"
	case !formats.SamePlatform(reported, own):
		return no, "it is about another platform, " + reported
	}
	return sure, ""
}

// sameTag returns reason when the report gives a tag that the image bears, "" otherwise.
func sameTag(report *formats.About, image scanner.Image, reason string) string {
	tags := tagsOf(image)
	if slices.ContainsFunc(report.Tags, func(tag string) bool { return slices.Contains(tags, fullName(tag)) }) {
		return reason
	}
	return ""
}

// bareDigests are all digests that a report names its image by.
func bareDigests(report *formats.About) []string {
	var digests []string
	if report.ID != "" {
		digests = append(digests, report.ID)
	}
	for _, name := range report.Digests {
		digests = append(digests, digestOf(name))
	}
	return digests
}

func digestOf(name string) string { return name[strings.LastIndexByte(name, '@')+1:] }

func digestsOf(image scanner.Image) []string {
	var digests []string
	for _, name := range image.Digests {
		digests = append(digests, digestOf(name))
	}
	return digests
}

func tagsOf(image scanner.Image) []string {
	var tags []string
	for _, tag := range image.Tags {
		tags = append(tags, fullName(tag))
	}
	return tags
}

// fullName writes a reference by tag the way runtimes do: "nginx" is docker.io/library/nginx:latest.
func fullName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if reference == "" {
		return ""
	}
	name, tag := reference, "latest"
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		name, tag = reference[:i], reference[i+1:]
	}
	host, path, qualified := strings.Cut(name, "/")
	if !qualified || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = "docker.io", name
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host + "/" + path + ":" + tag
}

// keysOfReport and keysOfImage are the names to find one by the other; a key in common is necessary
// for a match.
func keysOfReport(report *formats.About) []string {
	keys := bareDigests(report)
	for _, tag := range report.Tags {
		keys = append(keys, fullName(tag))
	}
	return keys
}

func keysOfImage(image scanner.Image) []string {
	return slices.Concat([]string{image.ID}, digestsOf(image), tagsOf(image))
}
