package vulnerabilities

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/purl"
	"github.com/google/osv-scalibr/semantic"
	"github.com/ossf/osv-schema/bindings/go/osvschema"
	"google.golang.org/protobuf/types/known/timestamppb"

	"portcullis/scanner-client/formats"
	"portcullis/scanner-client/verdict"
)

// findings makes one finding of all advisories about the same weakness in a package.
func findings(hits []Hit) []verdict.Vulnerability {
	merged := map[key]*verdict.Vulnerability{}
	for _, hit := range hits {
		for _, found := range fromHit(hit) {
			k := keyOf(found)
			if known := merged[k]; known != nil {
				merge(known, found, hit.Package)
			} else {
				merged[k] = &found
			}
		}
	}
	list := make([]verdict.Vulnerability, 0, len(merged))
	for _, k := range slices.SortedFunc(maps.Keys(merged), key.compare) {
		found := *merged[k]
		found.Labels = labelsOf(found)
		list = append(list, found)
	}
	return list
}

// key tells findings apart.
type key struct{ id, name, version, path string }

func keyOf(v verdict.Vulnerability) key { return key{v.ID, v.Package, v.Version, v.Path} }

func (k key) compare(other key) int {
	return cmp.Or(strings.Compare(k.id, other.id), strings.Compare(k.name, other.name), strings.Compare(k.version, other.version), strings.Compare(k.path, other.path))
}

var cve = regexp.MustCompile(`CVE-\d{4}-\d{4,}`)

// fromHit makes a finding of an advisory; one of a distribution may be about several CVEs, and each of
// them is a finding.
func fromHit(hit Hit) []verdict.Vulnerability {
	affected := affectedBy(hit)
	base := verdict.Vulnerability{
		Severity:     severityOf(hit.Advisory, affected),
		Package:      hit.Package.Name,
		Version:      hit.Package.Version,
		FixedVersion: fixedVersion(hit.Package, affected),
		Type:         hit.Package.PURLType,
		CWEs:         cwes(hit.Advisory),
		PublishedAt:  date(hit.Advisory.GetPublished()),
	}
	if !osPackage(hit.Package.PURLType) {
		base.Path = hit.Package.Location.PathOrEmpty()
	}
	if formats.Reachable(scores(severities(hit.Advisory, affected))...) {
		base.Labels = []string{"network"}
	}
	ids, others := identities(hit.Advisory)
	list := make([]verdict.Vulnerability, len(ids))
	for i, id := range ids {
		list[i] = base
		list[i].ID, list[i].Aliases = id, others
	}
	return list
}

// identities returns the CVEs that an advisory is about, or its own ID when there are none, and the
// other names that it has.
func identities(advisory *osvschema.Vulnerability) (ids, others []string) {
	for _, name := range slices.Concat([]string{advisory.GetId()}, advisory.GetAliases(), advisory.GetUpstream()) {
		switch number := cve.FindString(name); {
		case number != "" && number == name:
			ids = append(ids, name)
		case number != "" && name == advisory.GetId(): // DEBIAN-CVE-2021-44228
			ids, others = append(ids, number), append(others, name)
		default:
			others = append(others, name)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		ids, others = []string{advisory.GetId()}, others[1:]
	}
	slices.Sort(others)
	return ids, slices.Compact(others)
}

// affectedBy returns the parts of an advisory that speak of the package.
func affectedBy(hit Hit) []*osvschema.Affected {
	ecosystem, names := hit.Package.Ecosystem(), lookupNames(hit.Package)
	var list []*osvschema.Affected
	for _, a := range hit.Advisory.GetAffected() {
		name, suffix, _ := strings.Cut(a.GetPackage().GetEcosystem(), ":")
		sameRelease := ecosystem.Suffix == "" || suffix == "" || release(name+":"+suffix) == release(ecosystem.String())
		if name == string(ecosystem.Ecosystem) && sameRelease && slices.Contains(names, coarse(a.GetPackage().GetName())) {
			list = append(list, a)
		}
	}
	return list
}

// fixedVersion returns the lowest version above the installed one in which an advisory says it is fixed.
func fixedVersion(p *extractor.Package, affected []*osvschema.Affected) string {
	lowest := ""
	for _, a := range affected {
		for _, r := range a.GetRanges() {
			if r.GetType() == osvschema.Range_GIT {
				continue
			}
			for _, event := range r.GetEvents() {
				fixed := event.GetFixed()
				if fixed != "" && higher(p, fixed, p.Version) && (lowest == "" || higher(p, lowest, fixed)) {
					lowest = fixed
				}
			}
		}
	}
	return lowest
}

// higher says whether a is a higher version than b, in the ecosystem of the package.
func higher(p *extractor.Package, a, b string) bool {
	parsed, err := semantic.Parse(a, string(p.Ecosystem().Ecosystem))
	if err != nil {
		return false
	}
	order, err := parsed.CompareStr(b)
	return err == nil && order > 0
}

// merge adds what another advisory says of the same weakness. Where two know a fix, the higher version is
// the one that both call fixed.
func merge(known *verdict.Vulnerability, other verdict.Vulnerability, p *extractor.Package) {
	known.Severity = max(known.Severity, other.Severity)
	known.Aliases = union(known.Aliases, other.Aliases)
	known.Labels = union(known.Labels, other.Labels)
	known.CWEs = union(known.CWEs, other.CWEs)
	if known.FixedVersion == "" || other.FixedVersion != "" && higher(p, other.FixedVersion, known.FixedVersion) {
		known.FixedVersion = other.FixedVersion
	}
	if known.PublishedAt.IsZero() || !other.PublishedAt.IsZero() && other.PublishedAt.Before(known.PublishedAt) {
		known.PublishedAt = other.PublishedAt
	}
}

func union[T cmp.Ordered](a, b []T) []T {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// labelsOf adds the labels that OSV has data for.
func labelsOf(found verdict.Vulnerability) []string {
	fix, origin := "no-fix", "language-package"
	if found.FixedVersion != "" {
		fix = "fixable"
	}
	if osPackage(found.Type) {
		origin = "os-package"
	}
	return union(found.Labels, []string{fix, origin})
}

func osPackage(purlType string) bool {
	switch purlType {
	case purl.TypeDebian, purl.TypeRPM, purl.TypeApk, purl.TypeOpkg:
		return true
	}
	return false
}

func cwes(advisory *osvschema.Vulnerability) []int {
	var numbers []int
	for _, id := range advisory.GetDatabaseSpecific().GetFields()["cwe_ids"].GetListValue().GetValues() {
		if number, err := strconv.Atoi(strings.TrimPrefix(id.GetStringValue(), "CWE-")); err == nil {
			numbers = append(numbers, number)
		}
	}
	return union(numbers, nil)
}

func date(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
