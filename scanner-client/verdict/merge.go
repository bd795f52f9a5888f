package verdict

import (
	"slices"
	"strings"
)

// Merge joins what several scans say about one image: of each kind the newest scan that looked for it,
// whole, because an older one may list what is long repaired. Where none has looked for a kind, the
// findings of that kind that came along are kept all the same. It returns nil without parts, and one
// part as it is.
func Merge(parts ...*Verdict) *Verdict {
	parts = slices.DeleteFunc(slices.Clone(parts), func(v *Verdict) bool { return v == nil })
	if len(parts) == 0 {
		return nil
	}
	if len(parts) == 1 {
		return parts[0]
	}
	slices.SortStableFunc(parts, func(a, b *Verdict) int { return b.ScannedAt.Compare(a.ScannedAt) })
	merged := &Verdict{ImageID: parts[0].ImageID}
	var used []*Verdict
	for _, kind := range Kinds() {
		from := sayingOf(kind, parts)
		for _, part := range from {
			merged.Vulnerabilities = append(merged.Vulnerabilities, pick(kind, KindVulnerabilities, part.Vulnerabilities)...)
			merged.Malware = append(merged.Malware, pick(kind, KindMalware, part.Malware)...)
			merged.Secrets = append(merged.Secrets, pick(kind, KindSecrets, part.Secrets)...)
			if !slices.Contains(used, part) {
				used = append(used, part)
			}
		}
		if len(from) > 0 && from[0].Covers(kind) {
			merged.Scanned = append(merged.Scanned, kind)
		}
	}
	if len(used) == 0 { // nobody has looked for anything or found anything
		used = parts[:1]
	}
	merged.Vulnerabilities = Worst(distinct(merged.Vulnerabilities, (*Vulnerability).key), (*Vulnerability).severity)
	merged.Malware = Worst(distinct(merged.Malware, (*Malware).key), (*Malware).severity)
	merged.Secrets = Worst(distinct(merged.Secrets, (*Secret).key), (*Secret).severity)
	merged.Scanner = jointScanner(used)
	merged.ScannedAt = used[0].ScannedAt
	for _, part := range used {
		if part.ScannedAt.Before(merged.ScannedAt) { // never look fresher than the oldest part is
			merged.ScannedAt = part.ScannedAt
		}
	}
	return merged
}

// sayingOf returns the parts that count for a kind: the newest that has looked for it, else all that
// have findings of it. Of two as new as each other the one that has found more counts.
func sayingOf(kind Kind, newestFirst []*Verdict) []*Verdict {
	var newest *Verdict
	var found []*Verdict
	for _, part := range newestFirst {
		switch {
		case !part.Covers(kind):
			if part.count(kind) > 0 {
				found = append(found, part)
			}
		case newest == nil, part.ScannedAt.Equal(newest.ScannedAt) && part.count(kind) > newest.count(kind):
			newest = part
		}
	}
	if newest != nil {
		return []*Verdict{newest}
	}
	return found
}

func (v *Verdict) count(kind Kind) int {
	return len(pick(kind, KindVulnerabilities, v.Vulnerabilities)) +
		len(pick(kind, KindMalware, v.Malware)) + len(pick(kind, KindSecrets, v.Secrets))
}

func pick[F any](wanted, kind Kind, findings []F) []F {
	if wanted != kind {
		return nil
	}
	return findings
}

// distinct drops what an earlier finding says already: reports of the same tag from week to week list mostly
// the same.
func distinct[F any, K comparable](findings []F, key func(*F) K) []F {
	seen := make(map[K]bool, len(findings))
	return slices.DeleteFunc(findings, func(f F) bool {
		k := key(&f)
		again := seen[k]
		seen[k] = true
		return again
	})
}

func (v *Vulnerability) key() [7]string {
	return [7]string{v.ID, v.Package, v.Version, v.Type, v.Path, v.FixedVersion, v.Severity.String()}
}
func (m *Malware) key() Malware { return *m }
func (s *Secret) key() Secret   { return *s }

func jointScanner(parts []*Verdict) Scanner {
	scanner := parts[0].Scanner
	var names []string
	for _, part := range parts {
		name := strings.TrimSpace(part.Scanner.Name + " " + part.Scanner.Version)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if part.Scanner != scanner {
			scanner = Scanner{}
		}
	}
	if scanner == (Scanner{}) {
		scanner.Name = strings.Join(names, ", ")
	}
	return scanner
}
