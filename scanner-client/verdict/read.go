package verdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

const (
	// APIVersion is the form of verdict files that Read takes.
	APIVersion = "portcullis/v1"
	// FileKind says that a file is a verdict.
	FileKind = "Verdict"
	// MaxFileSize bounds one verdict file, in bytes; 200 findings are about 50 KiB.
	MaxFileSize = 32 << 20
)

// file is the JSON form of a Verdict: the same, with a heading that says what it is.
type file struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	*Verdict
}

// ErrTooLarge is returned for input of more than MaxFileSize bytes.
var ErrTooLarge = fmt.Errorf("verdict file is larger than %d bytes", MaxFileSize)

// Read reads one verdict in its JSON form and validates it. It is strict, because a misspelt key
// would otherwise turn findings into a clean verdict. It reads at most MaxFileSize bytes.
func Read(r io.Reader) (*Verdict, error) {
	limited := &io.LimitedReader{R: r, N: MaxFileSize + 1}
	decoder := json.NewDecoder(limited)
	decoder.DisallowUnknownFields()
	f := file{Verdict: &Verdict{}}
	err := decoder.Decode(&f)
	if err == nil && decoder.More() {
		err = errors.New("more than one JSON value; write one verdict a file")
	}
	switch {
	case limited.N <= 0:
		return nil, ErrTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, errors.New("file is truncated or empty; write it under another name and rename it when complete")
	case err != nil:
		return nil, fmt.Errorf("not a verdict: %w", err)
	case f.APIVersion != APIVersion || f.Kind != FileKind:
		return nil, fmt.Errorf("not a verdict: apiVersion %q, kind %q; write %q and %q", f.APIVersion, f.Kind, APIVersion, FileKind)
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	return f.Verdict, nil
}

// Write writes v in the JSON form that Read takes.
func Write(w io.Writer, v *Verdict) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(file{APIVersion: APIVersion, Kind: FileKind, Verdict: v})
}

var (
	imageID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	md5Hex  = regexp.MustCompile(`^([0-9a-f]{32})?$`)
	sha256  = regexp.MustCompile(`^([0-9a-f]{64})?$`)
)

// ValidImageID says whether id is "sha256:" and 64 lower-case hexadecimal digits.
func ValidImageID(id string) bool { return imageID.MatchString(id) }

func (v *Verdict) validate() error {
	var mistakes []error
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	expect(ValidImageID(v.ImageID), "imageID %q: write sha256: and the 64 hexadecimal digits of the image's config digest", v.ImageID)
	expect(v.Scanner.Name != "", "scanner.name: required")
	expect(!v.ScannedAt.IsZero(), "scannedAt: required")
	expect(len(v.Scanned) > 0, "scanned: required; list the kinds that were looked for: %v", Kinds())
	for i, kind := range v.Scanned {
		expect(kind == KindVulnerabilities || kind == KindMalware || kind == KindSecrets, "scanned[%d]: unknown kind %q; write one of %v", i, kind, Kinds())
	}
	for kind, found := range map[Kind]int{KindVulnerabilities: len(v.Vulnerabilities), KindMalware: len(v.Malware), KindSecrets: len(v.Secrets)} {
		expect(found == 0 || v.Covers(kind), "%s: has findings but is not listed in scanned", kind)
	}
	for i, found := range v.Vulnerabilities {
		expect(found.ID != "", "vulnerabilities[%d].id: required", i)
		expect(found.Package != "", "vulnerabilities[%d].package: required", i)
	}
	for i, found := range v.Malware {
		expect(found.Path != "", "malware[%d].path: required", i)
		expect(md5Hex.MatchString(found.MD5), "malware[%d].md5: write 32 lower-case hexadecimal digits", i)
		expect(sha256.MatchString(found.SHA256), "malware[%d].sha256: write 64 lower-case hexadecimal digits", i)
	}
	for i, found := range v.Secrets {
		expect(found.Type != "", "secrets[%d].type: required", i)
		expect(sha256.MatchString(found.SHA256), "secrets[%d].sha256: write 64 lower-case hexadecimal digits", i)
	}
	return errors.Join(mistakes...)
}
