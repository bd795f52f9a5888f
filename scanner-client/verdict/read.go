package verdict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
)

const (
	// APIVersion is the form of verdict files that Read takes.
	APIVersion = "portcullis/v1"
	// FileKind says that a file is a verdict.
	FileKind = "Verdict"
	// MaxFileSize bounds one verdict file, in bytes; 200 findings are about 50 KiB.
	MaxFileSize = 32 << 20
	// MaxFindings bounds the findings of each kind in one verdict. The largest images known have some
	// 10,000.
	MaxFindings = 100_000
)

// file is the JSON form of a Verdict: the same, with a heading that says what it is. Its findings
// stand in for those of the Verdict while it is read and written.
type file struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	*Verdict
	Vulnerabilities limited[Vulnerability, *Vulnerability] `json:"vulnerabilities,omitzero"`
	Malware         limited[Malware, *Malware]             `json:"malware,omitzero"`
	Secrets         limited[Secret, *Secret]               `json:"secrets,omitzero"`
}

// limited is a list that does not grow without bound: three bytes of JSON can be a finding of 200 bytes in
// memory. Of more findings it keeps the worst.
type limited[F any, P interface {
	*F
	severity() Severity
}] struct {
	findings []F
	cut      bool
}

func (l limited[F, P]) IsZero() bool { return len(l.findings) == 0 }

func (l limited[F, P]) MarshalJSON() ([]byte, error) { return json.Marshal(l.findings) }

func (l *limited[F, P]) shorten() {
	l.cut = l.cut || len(l.findings) > MaxFindings
	l.findings = Worst(l.findings, func(f *F) Severity { return P(f).severity() })
}

func (l *limited[F, P]) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	start, err := decoder.Token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('[') {
		return errors.New("findings are not a list")
	}
	for decoder.More() {
		if len(l.findings) == 2*MaxFindings {
			l.shorten()
		}
		var finding F
		if err := decoder.Decode(&finding); err != nil {
			return err
		}
		l.findings = append(l.findings, finding)
	}
	l.shorten()
	return nil
}

// ErrTooLarge is returned for input of more than MaxFileSize bytes.
var ErrTooLarge = fmt.Errorf("verdict file is larger than %d bytes", MaxFileSize)

// Read reads one verdict in its JSON form and validates it. It is strict, because a misspelt key
// would otherwise turn findings into a clean verdict. It reads at most MaxFileSize bytes. With ErrCut it
// returns the worst findings, as those of an image that was not scanned.
func Read(r io.Reader) (*Verdict, error) { return read(r, false) }

// ReadPart is Read for what central tells of an image: findings may be of kinds that nobody is known to have
// looked for in this very image.
func ReadPart(r io.Reader) (*Verdict, error) { return read(r, true) }

func read(r io.Reader, part bool) (*Verdict, error) {
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
	f.Verdict.Vulnerabilities, f.Verdict.Malware, f.Verdict.Secrets = f.Vulnerabilities.findings, f.Malware.findings, f.Secrets.findings
	if err := f.validate(part); err != nil {
		return nil, err
	}
	if f.Vulnerabilities.cut || f.Malware.cut || f.Secrets.cut {
		f.Scanned = nil
		return f.Verdict, ErrCut
	}
	return f.Verdict, nil
}

// Write writes v in the JSON form that Read takes.
func Write(w io.Writer, v *Verdict) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(file{
		APIVersion: APIVersion, Kind: FileKind, Verdict: v,
		Vulnerabilities: limited[Vulnerability, *Vulnerability]{findings: v.Vulnerabilities},
		Malware:         limited[Malware, *Malware]{findings: v.Malware},
		Secrets:         limited[Secret, *Secret]{findings: v.Secrets},
	})
}

var (
	imageID  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	md5Hex   = regexp.MustCompile(`^([0-9a-f]{32})?$`)
	sha256   = regexp.MustCompile(`^([0-9a-f]{64})?$`)
	redacted = regexp.MustCompile(`(?s)^(.{0,4}\*+)?$`)
)

// ValidImageID says whether id is "sha256:" and 64 lower-case hexadecimal digits.
func ValidImageID(id string) bool { return imageID.MatchString(id) }

// maxMistakes bounds what a file full of mistakes writes into the log.
const maxMistakes = 20

func (v *Verdict) validate(part bool) error {
	var mistakes []error
	expect := func(ok bool, format string, args ...any) {
		if !ok && len(mistakes) < maxMistakes {
			mistakes = append(mistakes, fmt.Errorf(format, args...))
		}
	}
	expect(ValidImageID(v.ImageID), "imageID %q: write sha256: and the 64 hexadecimal digits of the image's config digest", v.ImageID)
	expect(v.Scanner.Name != "", "scanner.name: required")
	expect(!v.ScannedAt.IsZero(), "scannedAt: required")
	expect(part || len(v.Scanned)+len(v.Skipped) > 0, "scanned: required; list the kinds that were looked for: %v", Kinds())
	for i, kind := range v.Scanned {
		expect(kind == KindVulnerabilities || kind == KindMalware || kind == KindSecrets, "scanned[%d]: unknown kind %q; write one of %v", i, kind, Kinds())
	}
	for i, s := range v.Skipped {
		expect(slices.Contains(Kinds(), s.Kind), "skipped[%d].kind: unknown kind %q; write one of %v", i, s.Kind, Kinds())
		expect(s.What != "", "skipped[%d].what: required; say what was not looked at", i)
	}
	for _, kind := range Kinds() {
		expect(part || v.count(kind) == 0 || v.Covers(kind) || v.Partly(kind), "%s: has findings but is not listed in scanned", kind)
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
		// The message must not quote what may be the whole secret.
		expect(redacted.MatchString(found.Redacted), "secrets[%d].redacted: write at most the first 4 characters of the secret, then asterisks only", i)
	}
	return errors.Join(mistakes...)
}
