package policy

import (
	"slices"

	"portcullis/scanner-client/verdict"
)

// Class is one class of vulnerabilities: those with one of its CWEs, and those of its CVEs.
type Class struct {
	Name string
	CWEs []int
	CVEs []string
}

// otherClass holds what is in no other class.
const otherClass = "other"

var classes = []Class{
	{Name: "memory-corruption", CWEs: []int{119, 120, 121, 122, 125, 190, 191, 415, 416, 476, 787, 788}},
	{Name: "code-injection", CWEs: []int{94, 95, 1336}},
	{Name: "command-injection", CWEs: []int{77, 78, 88}},
	{Name: "sql-injection", CWEs: []int{89}},
	{Name: "deserialization", CWEs: []int{502}},
	{Name: "path-traversal", CWEs: []int{22, 23, 36, 59}},
	{Name: "cross-site-scripting", CWEs: []int{79}},
	{Name: "request-forgery", CWEs: []int{352, 918}},
	{Name: "xml-external-entity", CWEs: []int{611}},
	{Name: "authentication-bypass", CWEs: []int{287, 288, 290, 306, 798}},
	{Name: "access-control", CWEs: []int{269, 284, 285, 732, 862, 863}},
	{Name: "information-disclosure", CWEs: []int{200, 209, 532}},
	{Name: "cryptography", CWEs: []int{295, 310, 326, 327, 347}},
	{Name: "denial-of-service", CWEs: []int{400, 401, 770, 835, 1333}},
	{Name: "race-condition", CWEs: []int{362, 367}},
	{Name: "file-upload", CWEs: []int{434}},
	{Name: "request-smuggling", CWEs: []int{444}},
	{Name: "container-escape", CVEs: []string{
		"CVE-2019-5736", "CVE-2020-15257", "CVE-2021-30465", "CVE-2022-0185", "CVE-2022-0492",
		"CVE-2022-0847", "CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881",
	}},
	{Name: otherClass},
}

// Classes returns every class of vulnerabilities.
func Classes() []Class { return slices.Clone(classes) }

func classNames() []string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = c.Name
	}
	return names
}

// The second axis of vulnerabilities, and the types of malware and of secrets.
var (
	labels = []string{
		labelFixable, "no-fix", "network", "known-exploited", "exploit-public", "os-package", "language-package",
	}
	malwareTypes = []string{
		"trojan", "backdoor", "webshell", "miner", "ransomware", "worm", "virus", "rootkit", "reverse-shell",
		"hack-tool", "botnet", "downloader", "spyware", "suspicious", "test-file",
	}
	secretTypes = []string{
		"private-key", "certificate-store", "cloud-access-key", "vcs-token", "package-registry-token",
		"cluster-credential", "database-credential", "saas-token", "password", "risky-build-history",
	}
)

const labelFixable = "fixable"

// fixable says whether a fix is known, by either of the two ways in which a scanner may say so.
func fixable(v *verdict.Vulnerability) bool {
	return v.FixedVersion != "" || slices.Contains(v.Labels, labelFixable)
}

// Labels returns every label of vulnerabilities.
func Labels() []string { return slices.Clone(labels) }

// MalwareTypes returns every type of malware.
func MalwareTypes() []string { return slices.Clone(malwareTypes) }

// SecretTypes returns every type of secrets.
func SecretTypes() []string { return slices.Clone(secretTypes) }

// classesByCWE is the classes that list a CWE, by its number.
var classesByCWE = func() (byCWE [1400]mask) {
	for i, class := range classes {
		for _, cwe := range class.CWEs {
			byCWE[cwe] |= 1 << i
		}
	}
	return byCWE
}()

// groupsOf returns the groups of a vulnerability, its classes and its labels. byID is the classes that
// list one of its IDs.
func groupsOf(v *verdict.Vulnerability, byID mask) mask {
	groups := byID
	for _, cwe := range v.CWEs {
		if cwe >= 0 && cwe < len(classesByCWE) {
			groups |= classesByCWE[cwe]
		}
	}
	if groups == 0 {
		groups |= 1 << classGroups[otherClass]
	}
	if fixable(v) {
		groups |= 1 << labelGroups[labelFixable]
	}
	for _, label := range v.Labels {
		if group, known := labelGroups[label]; known {
			groups |= 1 << group
		}
	}
	return groups
}
