// Package verdict answers: what is known of one image's risk?
//
// A Verdict is all that scanners found in one image. It is the language between those who scan
// (scanner-client), those who judge (policy) and those who explain (gate, event); so it is data with
// its JSON form and nothing else: no I/O, no clock, no import of ours. A published Verdict is
// immutable: it is shared between goroutines and must not be changed.
package verdict

import "time"

// Verdict is every finding of one image. docs/verdicts.md describes the JSON form for users.
type Verdict struct {
	// ImageID is "sha256:" and 64 hexadecimal digits: the digest of the image config, which is what
	// the runtime runs. Names of the image are hints and do not stand here.
	ImageID   string    `json:"imageID"`
	Scanner   Scanner   `json:"scanner"`
	ScannedAt time.Time `json:"scannedAt"`
	// Scanned lists the kinds of risk that were looked for. A kind that is missing here was not
	// scanned: the absence of its findings says nothing.
	Scanned []Kind `json:"scanned"`
	// Skipped says what was not looked at. A kind may have findings without being in Scanned when something
	// of it was skipped: what was found counts, and says nothing about the rest.
	Skipped         []Skipped       `json:"skipped,omitempty"`
	Vulnerabilities []Vulnerability `json:"vulnerabilities,omitempty"`
	Malware         []Malware       `json:"malware,omitempty"`
	Secrets         []Secret        `json:"secrets,omitempty"`
}

// Scanner says who looked, and with what knowledge.
type Scanner struct {
	Name     string `json:"name"`
	Version  string `json:"version,omitempty"`
	Database string `json:"database,omitempty"` // the database's own version or date
}

// Skipped is something that was not looked at for one kind of risk.
type Skipped struct {
	Kind Kind   `json:"kind"`
	What string `json:"what"` // for people: how much of what, and why
}

// Kind is one kind of risk.
type Kind string

// The kinds of risk, as they stand in Verdict.Scanned.
const (
	KindVulnerabilities Kind = "vulnerabilities"
	KindMalware         Kind = "malware"
	KindSecrets         Kind = "secrets"
)

// Kinds returns every kind of risk.
func Kinds() []Kind { return []Kind{KindVulnerabilities, KindMalware, KindSecrets} }

// Covers says whether kind was looked for.
func (v *Verdict) Covers(kind Kind) bool {
	for _, k := range v.Scanned {
		if k == kind {
			return true
		}
	}
	return false
}

// Partly says whether something was skipped of what kind was looked for.
func (v *Verdict) Partly(kind Kind) bool {
	for _, s := range v.Skipped {
		if s.Kind == kind {
			return true
		}
	}
	return false
}

// Vulnerability is one known weakness in one installed package.
type Vulnerability struct {
	ID           string   `json:"id"`                // CVE-… where there is one, else the database's own ID
	Aliases      []string `json:"aliases,omitempty"` // other IDs of the same weakness: GHSA-…, DEBIAN-CVE-…
	Severity     Severity `json:"severity"`
	Package      string   `json:"package"`
	Version      string   `json:"version"`                // installed
	FixedVersion string   `json:"fixedVersion,omitempty"` // "" when no fix is known
	// Type is the package's purl type (deb, rpm, apk, npm, pypi, maven, golang, …); it decides how
	// versions are compared.
	Type string `json:"type,omitempty"`
	Path string `json:"path,omitempty"` // file in the image, for language packages
	// CWEs are the numbers of the weaknesses: 79 for CWE-79.
	CWEs []int `json:"cwes,omitempty"`
	// Labels are the policy labels that the scanner had data for, such as network or known-exploited.
	Labels      []string  `json:"labels,omitempty"`
	PublishedAt time.Time `json:"publishedAt,omitzero"`
	FixedAt     time.Time `json:"fixedAt,omitzero"` // when the fix was published, zero when not known
}

// Malware is one file that an engine took for malicious.
type Malware struct {
	Path      string   `json:"path"`
	MD5       string   `json:"md5,omitempty"`    // 32 lower-case hexadecimal digits
	SHA256    string   `json:"sha256,omitempty"` // 64 lower-case hexadecimal digits
	Signature string   `json:"signature"`        // the engine's own name: Unix.Trojan.Mirai-123
	Engine    string   `json:"engine,omitempty"`
	Type      string   `json:"type"` // trojan, miner, …; suspicious when the signature says no more
	Severity  Severity `json:"severity"`
}

// Secret is one leaked credential. The secret itself is never here.
type Secret struct {
	Path     string   `json:"path,omitempty"`    // file in the image
	History  string   `json:"history,omitempty"` // or the build step: ENV, ARG, RUN …, secret replaced
	Rule     string   `json:"rule"`              // the detector that found it
	Type     string   `json:"type"`              // private-key, cloud-access-key, …
	Level    Severity `json:"level"`
	Redacted string   `json:"redacted,omitempty"` // at most the first 4 characters, then asterisks
	SHA256   string   `json:"sha256,omitempty"`   // of the secret, to recognise it again
}
