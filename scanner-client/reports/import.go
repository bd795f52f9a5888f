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
// A report that does not say when the scan was made was made when it was written. With an error comes what
// was understood of the report, nil when that is nothing.
func Import(file io.ReadSeeker, written time.Time, limit int64) (*formats.Report, error) {
	f, err := recognise(formats.NewStream(file, limit))
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	report, err := f.importFrom(file, limit)
	if report == nil {
		return nil, err
	}
	report.Format = strings.ToLower(f.name)
	if err != nil {
		err = fmt.Errorf("%s report: %w", f.name, err)
	}
	if err == nil && report.Verdict.ScannedAt.IsZero() {
		report.Verdict.ScannedAt = written.UTC()
	}
	report.Warnings = append(report.Warnings, boundNames(&report.About)...)
	return report, err
}

func (f *format) importFrom(file io.ReadSeeker, limit int64) (*formats.Report, error) {
	if f.read == nil {
		return importOwn(file, limit)
	}
	stream := formats.NewStream(file, limit)
	report, err := f.read(stream)
	if err == nil {
		err = stream.End()
	}
	return formats.Finished(report, err)
}

// importOwn reads Portcullis' own form. It is strict, so that of a file with a mistake only which image it is
// about is taken.
func importOwn(file io.ReadSeeker, limit int64) (*formats.Report, error) {
	v, err := verdict.Read(formats.WithoutMark(io.LimitReader(file, limit)))
	if v == nil {
		v = &verdict.Verdict{}
		if _, seeking := file.Seek(0, io.SeekStart); seeking != nil {
			return nil, seeking
		}
		stream := formats.NewStream(file, limit)
		_ = stream.Object(func(key string) error { // it ends where the file is damaged
			switch key {
			case "imageID":
				return stream.Into(&v.ImageID)
			case "scannedAt":
				return stream.Into(&v.ScannedAt)
			}
			return stream.Skip()
		})
	}
	return formats.Finished(&formats.Report{About: formats.About{ID: v.ImageID}, Verdict: *v}, err)
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

// maxNames bounds the names that a report gives its image.
const maxNames = 1000

// boundNames bounds what is kept in memory of every report in the folder. The names left out are no reason to
// lose the report: whoever makes an image chooses some of them.
func boundNames(about *formats.About) (warnings []string) {
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	isLong := func(name string) bool { return len(name) > formats.MaxText }
	for _, names := range []*[]string{&about.Digests, &about.Tags} {
		all := len(*names)
		*names = slices.DeleteFunc(*names, isLong)
		if len(*names) > maxNames {
			*names = slices.Clone((*names)[:maxNames])
		}
		if left := all - len(*names); left > 0 {
			warn("%d names of the image are left out: they are longer than %d bytes, or there are more than %d", left, formats.MaxText, maxNames)
		}
	}
	for _, name := range []*string{&about.ID, &about.Platform} {
		if isLong(*name) {
			*name = ""
			warn("a name of the image of more than %d bytes is left out", formats.MaxText)
		}
	}
	return warnings
}

// Declare says which image a report is about by its ID or digest, for reports that do not say it. The error tells
// that they say otherwise.
func Declare(digest string, about *formats.About) error {
	if !verdict.ValidImageID(digest) {
		return errors.New("is not an image ID or digest; write sha256: and 64 lower-case hexadecimal digits")
	}
	if about.ID != "" && !slices.Contains(bareDigests(about), digest) {
		return fmt.Errorf("the report says that it is about %s", about.ID)
	}
	about.Digests = append(slices.Clip(about.Digests), digest)
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
	contradicts := about.ID != "" && !slices.Contains(bareDigests(about), digest)
	about.Digests = append(slices.Clip(about.Digests), digest)
	if contradicts {
		return fmt.Errorf("the file name says that the report is about %s, the content that it is about %s", digest, about.ID)
	}
	return nil
}
