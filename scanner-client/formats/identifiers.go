package formats

import (
	"regexp"
	"slices"
	"strings"
)

var (
	cve = regexp.MustCompile(`^CVE-\d{4}-\d{4,}$`)
	// prefixed is a CVE as a distribution's own database files it: DEBIAN-CVE-2021-1234.
	prefixed = regexp.MustCompile(`^[A-Z]+-(CVE-\d{4}-\d{4,})$`)
	cweID    = regexp.MustCompile(`^(?i:CWE-)?(\d{1,5})\b`)
)

// Identify chooses the ID that a weakness goes by among all the IDs it has: its CVE where there is
// exactly one, else the ID it came with, because an advisory may stand for several CVEs. The other IDs
// are its aliases, sorted.
func Identify(id string, others ...string) (chosen string, aliases []string) {
	var all, cves []string
	for _, name := range append([]string{id}, others...) {
		name = strings.TrimSpace(name)
		if upper := strings.ToUpper(name); cve.MatchString(upper) || prefixed.MatchString(upper) {
			name = upper
		}
		if m := prefixed.FindStringSubmatch(name); m != nil {
			all = append(all, m[1])
		}
		if name != "" {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	chosen = strings.TrimSpace(id)
	if upper := strings.ToUpper(chosen); cve.MatchString(upper) {
		chosen = upper
	} else {
		slices.Sort(all)
		all = slices.Compact(all)
		for _, name := range all {
			if cve.MatchString(name) {
				cves = append(cves, name)
			}
		}
		if len(cves) == 1 || chosen == "" {
			chosen = append(cves, all...)[0]
		}
	}
	slices.Sort(all)
	aliases = slices.DeleteFunc(slices.Compact(all), func(name string) bool { return name == chosen })
	if len(aliases) == 0 {
		return chosen, nil
	}
	return chosen, aliases
}

// CWE reads the number of "CWE-79", "79" or "CWE-79: Cross-site Scripting"; 0 is none.
func CWE(text string) int {
	m := cweID.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0
	}
	number := 0
	for _, digit := range m[1] {
		number = number*10 + int(digit-'0')
	}
	return number
}
