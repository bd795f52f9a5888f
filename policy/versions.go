package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	gem "github.com/aquasecurity/go-gem-version"
	pep440 "github.com/aquasecurity/go-pep440-version"
	generic "github.com/aquasecurity/go-version/pkg/version"
	apk "github.com/knqyf263/go-apk-version"
	deb "github.com/knqyf263/go-deb-version"
	rpm "github.com/knqyf263/go-rpm-version"
	maven "github.com/masahiro331/go-mvn-version"
)

// versionRange is alternatives of bounds: it holds when all bounds of one alternative hold. An empty
// range holds every version.
type versionRange [][]bound

// bound is one comparison with a version.
type bound struct {
	operator string // one of < <= = != >= >
	version  string
}

var (
	boundForm = regexp.MustCompile(`^(<=|>=|!=|==|<|>|=)?\s*([0-9A-Za-z][0-9A-Za-z.+~:^_!-]*)\s*(?:,\s*)?`)
	hasDigit  = regexp.MustCompile(`[0-9]`)
	wildcard  = regexp.MustCompile(`\.[xX](\.|$)`)
)

// parseRange reads a range such as ">=1.0 <1.4.2 || =2.0". Which scheme compares it is known only with
// the package it is held against, so here any word with a digit is a version.
func parseRange(text string) (versionRange, error) {
	if text == "" {
		return nil, nil
	}
	var r versionRange
	for alternative := range strings.SplitSeq(text, "||") {
		bounds, err := parseBounds(strings.TrimSpace(alternative))
		if err != nil {
			return nil, fmt.Errorf("%q is not a version range: %w; write comparisons such as <2.17.1 or >=1.0 <2.0 || =2.3", text, err)
		}
		r = append(r, bounds)
	}
	return r, nil
}

func parseBounds(text string) ([]bound, error) {
	if text == "" {
		return nil, errors.New("an alternative is empty")
	}
	var bounds []bound
	for text != "" {
		m := boundForm.FindStringSubmatch(text)
		if m == nil || !hasDigit.MatchString(m[2]) || wildcard.MatchString(m[2]) {
			return nil, fmt.Errorf("cannot read %q", text)
		}
		operator := m[1]
		if operator == "" || operator == "==" {
			operator = "="
		}
		bounds = append(bounds, bound{operator, m[2]})
		text = text[len(m[0]):]
	}
	return bounds, nil
}

// holds says whether version, of a package of the purl type, lies in the range. What cannot be compared
// (no installed version, an unknown type, a version that its scheme does not know) counts as inside: a
// policy must not miss a component because its scanner is unclear.
func (r versionRange) holds(purlType, version string) bool {
	if len(r) == 0 {
		return true
	}
	compare, known := schemes[purlType]
	if !known || strings.TrimSpace(version) == "" {
		return true
	}
	return slices.ContainsFunc(r, func(bounds []bound) bool {
		return !slices.ContainsFunc(bounds, func(b bound) bool { return b.excludes(version, compare) })
	})
}

func (b bound) excludes(version string, compare comparison) bool {
	order, err := compare(version, b.version)
	if err != nil {
		return false
	}
	switch b.operator {
	case "<":
		return order >= 0
	case "<=":
		return order > 0
	case ">":
		return order <= 0
	case ">=":
		return order < 0
	case "!=":
		return order == 0
	}
	return order != 0
}

// comparison orders two versions as their ecosystem does; an error says that one is not a version.
type comparison func(a, b string) (int, error)

// schemes is the comparison of versions by the purl type of their package.
var schemes = map[string]comparison{
	"deb":   scheme(deb.NewVersion, func(a, b deb.Version) int { return a.Compare(b) }),
	"rpm":   scheme(func(v string) (rpm.Version, error) { return rpm.NewVersion(v), nil }, rpm.Version.Compare),
	"apk":   scheme(apk.NewVersion, apk.Version.Compare),
	"maven": scheme(maven.NewVersion, maven.Version.Compare),
	"pypi": func(a, b string) (int, error) {
		if !strings.Contains(b, "+") { // PEP 440: a bound without a local version means all of them
			a, _, _ = strings.Cut(a, "+")
		}
		return python(a, b)
	},
	"gem":      scheme(gem.NewVersion, gem.Version.Compare),
	"nuget":    scheme(generic.Parse, generic.Version.Compare), // up to four numbers, which semver does not know
	"composer": scheme(generic.Parse, generic.Version.Compare),
	"npm":      semantic,
	"cargo":    semantic,
	"hex":      semantic,
	"pub":      semantic,
	"swift":    semantic,
	"golang": func(a, b string) (int, error) { // the toolchain and its library are called go1.22.3
		return semantic(strings.TrimPrefix(a, "go"), strings.TrimPrefix(b, "go"))
	},
}

var (
	python   = scheme(pep440.Parse, pep440.Version.Compare)
	semantic = scheme(semver.NewVersion, (*semver.Version).Compare)
)

func scheme[V any](parse func(string) (V, error), compare func(a, b V) int) comparison {
	return func(a, b string) (int, error) {
		left, err := parse(a)
		if err != nil {
			return 0, err
		}
		right, err := parse(b)
		if err != nil {
			return 0, err
		}
		return compare(left, right), nil
	}
}
