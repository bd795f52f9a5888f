package trivy

import "strings"

// secretTypes gives the type of secret by the category that Trivy's rule is in. A category that is not
// here is a service's token.
var secretTypes = map[string]string{
	"asymmetricprivatekey": "private-key",
	"age":                  "private-key",
	"aws":                  "cloud-access-key",
	"google":               "cloud-access-key",
	"gcp":                  "cloud-access-key",
	"azure":                "cloud-access-key",
	"alibaba":              "cloud-access-key",
	"digitalocean":         "cloud-access-key",
	"github":               "vcs-token",
	"gitlab":               "vcs-token",
	"bitbucket":            "vcs-token",
	"gitea":                "vcs-token",
	"npm":                  "package-registry-token",
	"pypi":                 "package-registry-token",
	"rubygems":             "package-registry-token",
	"clojars":              "package-registry-token",
	"packagist":            "package-registry-token",
	"privatepackagist":     "package-registry-token",
	"nuget":                "package-registry-token",
	"docker":               "package-registry-token",
	"kubernetes":           "cluster-credential",
	"planetscale":          "database-credential",
	"mongodb":              "database-credential",
}

// hints give the type by a word in the rule's own name, for users' own rules and where the category
// says little.
var hints = []struct{ word, secretType string }{
	{"private-key", "private-key"},
	{"dockerconfig", "package-registry-token"},
	{"kubeconfig", "cluster-credential"},
	{"database", "database-credential"},
	{"postgres", "database-credential"},
	{"mysql", "database-credential"},
	{"password", "password"},
	{"passwd", "password"},
}

func secretType(category, rule string) string {
	category = strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(category))
	if known, ok := secretTypes[category]; ok {
		return known
	}
	for _, hint := range hints {
		if strings.Contains(strings.ToLower(rule), hint.word) {
			return hint.secretType
		}
	}
	return "saas-token"
}
