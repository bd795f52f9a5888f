package vulnerabilities

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/extractor"
	java "github.com/google/osv-scalibr/extractor/filesystem/language/java/archive/metadata"
	apk "github.com/google/osv-scalibr/extractor/filesystem/os/apk/metadata"
	dpkg "github.com/google/osv-scalibr/extractor/filesystem/os/dpkg/metadata"
	"github.com/google/osv-scalibr/purl"
)

var (
	separators   = regexp.MustCompile(`[-_.]+`)
	majorVersion = regexp.MustCompile(`/v[0-9]+$`)
)

// coarse makes one name of all the ways to write it: advisories and packages with different coarse names
// have nothing to do with each other. Those with the same are then compared by the library.
func coarse(name string) string {
	name = majorVersion.ReplaceAllString(strings.ToLower(name), "")
	name = name[strings.LastIndexAny(name, "/:")+1:]
	return separators.ReplaceAllString(name, "-")
}

// lookupNames returns the coarse names under which a package may stand in advisories. It is wider than
// it needs to be: a name that is missing here is a weakness that is not seen.
func lookupNames(p *extractor.Package) []string {
	names := []string{p.Name}
	switch m := p.Metadata.(type) {
	case *dpkg.Metadata:
		names = append(names, m.SourceName)
	case *apk.Metadata:
		names = append(names, m.OriginName)
	case *java.Metadata:
		names = append(names, m.ArtifactID)
	}
	if p.PURLType == purl.TypeGolang && p.Name == "go" {
		names = append(names, "stdlib", "toolchain")
	}
	if p.SourceCode != nil {
		names = append(names, p.SourceCode.Repo)
	}
	for i := range names {
		names[i] = coarse(names[i])
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// releases bring the names that advisories and images have for a release of a distribution to one form.
// The library compares them letter by letter, and would find nothing for these distributions.
var releases = []struct {
	pattern *regexp.Regexp
	form    string
}{
	{regexp.MustCompile(`^Ubuntu:(\d+\.\d+)(:LTS)?$`), "Ubuntu:$1"},
	{regexp.MustCompile(`^Red Hat:enterprise_linux:(\d+)(\.\d+)?(:.*)?$`), "Red Hat:$1"},
	{regexp.MustCompile(`^SUSE:Linux Enterprise .*?(\d+)(?: SP(\d+))?$`), "SUSE:$1.$2"},
	{regexp.MustCompile(`^SUSE:(\d+)$`), "SUSE:$1."},
	{regexp.MustCompile(`^(AlmaLinux|Rocky Linux|Debian|Mageia):(\d+)(\.\d+)?$`), "$1:$2"},
}

func release(ecosystem string) string {
	for _, r := range releases {
		if r.pattern.MatchString(ecosystem) {
			return r.pattern.ReplaceAllString(ecosystem, r.form)
		}
	}
	return ecosystem
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
