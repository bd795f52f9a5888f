package cyclonedx

import (
	"cmp"
	"encoding/json"
	"strings"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// naming are the properties that name the image.
var naming = map[string]bool{"aquasecurity:trivy:ImageID": true, "aquasecurity:trivy:RepoDigest": true, "aquasecurity:trivy:RepoTag": true}

// about says which image the document is about. Tools write it in their own ways: as the version, in
// the package URL, or in properties.
func (s *subject) about() formats.About {
	var about formats.About
	if s.kind != "container" {
		return about
	}
	addDigest := func(text string) {
		if isDigest(text[strings.LastIndexByte(text, '@')+1:]) {
			about.Digests = append(about.Digests, text)
		}
	}
	addDigest(s.Version)
	addDigest(s.Name)
	purl := formats.ParsePURL(s.PURL)
	addDigest(purl.Version)
	// Tools leave the operating system out of the package URL when it is the usual one.
	about.Platform = formats.Platform(cmp.Or(purl.Arguments.Get("os"), "linux"), purl.Arguments.Get("arch"), "")
	for _, p := range s.properties {
		switch p.Name {
		case "aquasecurity:trivy:ImageID":
			about.ID = p.Value
		case "aquasecurity:trivy:RepoDigest":
			addDigest(p.Value)
		case "aquasecurity:trivy:RepoTag":
			about.Tags = append(about.Tags, p.Value)
		}
	}
	switch {
	case len(about.Tags) > 0 || len(about.Digests) > 0 || s.Name == "":
	case s.Version == "":
		about.Tags = []string{s.Name}
	default:
		about.Tags = []string{s.Name + ":" + s.Version}
	}
	return about
}

func isDigest(text string) bool { return verdict.ValidImageID(text) }

// scanner says who wrote the document: the last tool, because the earlier ones made what it worked on.
func (m *metadata) scanner() verdict.Scanner {
	type tool struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	var tools []tool
	if json.Unmarshal(m.tools, &tools) != nil { // since 1.5 an object, with the tools as components
		var grouped struct {
			Components []tool `json:"components"`
		}
		if json.Unmarshal(m.tools, &grouped) == nil {
			tools = grouped.Components
		}
	}
	if len(tools) == 0 || tools[len(tools)-1].Name == "" {
		return verdict.Scanner{Name: "CycloneDX"}
	}
	last := tools[len(tools)-1]
	return verdict.Scanner{Name: last.Name + " (CycloneDX)", Version: last.Version}
}
