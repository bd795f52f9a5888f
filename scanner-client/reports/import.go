package reports

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/formats/cyclonedx"
	"portcullis/scanner-client/formats/grype"
	"portcullis/scanner-client/formats/harbor"
	"portcullis/scanner-client/formats/osvscanner"
	"portcullis/scanner-client/formats/trivy"
	"portcullis/scanner-client/verdict"
)

// format is one form of report, and the keys at its top that no other form has. A format without read
// is known only to say what to write instead.
type format struct {
	name string
	keys []string
	read func(*formats.Stream) (*formats.Report, error)
}

var known = []format{
	{"Portcullis", []string{"apiVersion", "kind", "imageID"}, nil},
	{"Trivy", []string{"SchemaVersion", "ArtifactName", "ArtifactType", "ArtifactID", "Results", "ReportID"}, trivy.Read},
	{"Grype", []string{"matches", "ignoredMatches", "descriptor", "distro"}, grype.Read},
	{"OSV-Scanner", []string{"results", "experimental_config", "image_metadata", "license_summary"}, osvscanner.Read},
	{"CycloneDX", []string{"bomFormat", "specVersion", "serialNumber", "components", "compositions"}, cyclonedx.Read},
	{"Harbor", []string{"generated_at"}, harbor.Read},
}

// foreign are forms that scanners can write but that say too little: no package versions, or no
// vulnerabilities at all.
var foreign = map[string]string{
	"runs":        "SARIF",
	"spdxVersion": "SPDX",
	"artifacts":   "Syft",
	"@context":    "OpenVEX",
}

// errUnrecognised lists what would have been recognised.
var errUnrecognised = errors.New("not a report that is known; write the JSON of Trivy, Grype, OSV-Scanner, CycloneDX or Harbor, or Portcullis' own")

// Import reads one report, of at most limit bytes and of any form that is known, told by its content.
// A report that does not say when the scan was made was made when it was written.
func Import(file io.ReadSeeker, written time.Time, limit int64) (*formats.Report, error) {
	f, err := recognise(formats.NewStream(file, limit))
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	report, err := f.importFrom(file, limit)
	if err != nil {
		return nil, fmt.Errorf("%s report: %w", f.name, err)
	}
	if report.Verdict.ScannedAt.IsZero() {
		report.Verdict.ScannedAt = written.UTC()
	}
	return report, checkNames(&report.About)
}

func (f *format) importFrom(file io.Reader, limit int64) (*formats.Report, error) {
	if f.read == nil {
		v, err := verdict.Read(formats.WithoutMark(io.LimitReader(file, limit)))
		if err != nil {
			return nil, err
		}
		return &formats.Report{About: formats.About{ID: v.ImageID}, Verdict: *v}, nil
	}
	stream := formats.NewStream(file, limit)
	report, err := f.read(stream)
	if err != nil {
		return nil, err
	}
	return report, stream.End()
}

// errFound ends the search for a key that tells the format.
var errFound = errors.New("found")

func recognise(s *formats.Stream) (*format, error) {
	var found *format
	instead := ""
	err := s.Object(func(key string) error {
		for i := range known {
			if slices.Contains(known[i].keys, key) {
				found = &known[i]
				return errFound
			}
		}
		if name, ok := foreign[key]; ok {
			instead = name
		}
		return s.Skip()
	})
	switch {
	case found != nil:
		return found, nil
	case err != nil:
		return nil, fmt.Errorf("not a report: %w", err)
	case instead != "":
		return nil, fmt.Errorf("%s: %w", instead, errUnrecognised)
	}
	return nil, errUnrecognised
}

// checkNames bounds what is kept in memory of every report in the folder.
func checkNames(about *formats.About) error {
	if len(about.Tags)+len(about.Digests) > 1000 {
		return errors.New("report names its image in more than 1000 ways")
	}
	for _, name := range slices.Concat(about.Tags, about.Digests, []string{about.ID, about.Platform}) {
		if len(name) > formats.MaxText {
			return fmt.Errorf("report names its image by a text of more than %d bytes", formats.MaxText)
		}
	}
	return nil
}

// declare adds the digest that a file name such as sha256-0123….osv.json declares. It is there for
// reports that do not say which image they are about.
func declare(fileName string, about *formats.About) error {
	rest, ok := strings.CutPrefix(fileName, "sha256-")
	if !ok || len(rest) < 64 || !verdict.ValidImageID("sha256:"+rest[:64]) {
		return nil
	}
	digest := "sha256:" + rest[:64]
	if about.ID != "" && !slices.Contains(bareDigests(about), digest) {
		return fmt.Errorf("the file name says that the report is about %s, the content that it is about %s", digest, about.ID)
	}
	about.Digests = append(slices.Clip(about.Digests), digest)
	return nil
}
