package secrets

import (
	"regexp"
	"slices"

	"portcullis/cmd/portcullis-scan/rootfs"
	"portcullis/scanner-client/verdict"
)

// rule finds one kind of secret in text.
type rule struct {
	name  string
	kind  string
	level verdict.Severity
	// words are in lower case, and every text with such a secret has one of them. Looking for them first
	// is what makes a gigabyte of text bearable: all detectors together do less than 1 MB a second.
	words []string
	// files, when not nil, matches the paths of the files that the rule is for.
	files *regexp.Regexp
	// find returns the secrets in a text.
	find func(text []byte) []string
}

// The types of secrets.
const (
	privateKey        = "private-key"
	certificateStore  = "certificate-store"
	cloudAccessKey    = "cloud-access-key"
	vcsToken          = "vcs-token"
	registryToken     = "package-registry-token"
	clusterCredential = "cluster-credential" //nolint:gosec // the name of a type
	databaseLogin     = "database-credential"
	saasToken         = "saas-token"
	password          = "password"
	riskyBuildHistory = "risky-build-history"
)

// levelOf is how bad it is when a secret of a type leaks: the first three open a whole system.
func levelOf(kind string) verdict.Severity {
	switch kind {
	case privateKey, cloudAccessKey, clusterCredential:
		return verdict.Critical
	case certificateStore:
		return verdict.Medium
	}
	return verdict.High
}

var rules = slices.Concat(libraryRules, ownRules)

// words are those of all rules, by the number of the rule.
var words = func() *dictionary {
	lists := make([][]string, len(rules))
	for i, r := range rules {
		lists[i] = r.words
	}
	return newDictionary(lists)
}()

func (r rule) isFor(file rootfs.File) bool {
	return r.files == nil || r.files.MatchString(file.Path) || slices.ContainsFunc(file.Links, r.files.MatchString)
}

// textFindings applies every rule to a text.
func textFindings(file rootfs.File, text []byte) []finding {
	var found []finding
	candidates := words.search(text)
	for i, r := range rules {
		if !candidates.has(i) || !r.isFor(file) {
			continue
		}
		for _, value := range r.find(text) {
			found = append(found, finding{r.name, r.kind, r.level, value}.refined())
		}
	}
	return append(found, urlFindings(text)...)
}
