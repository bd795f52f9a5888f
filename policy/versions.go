package policy

import (
	"fmt"
	"regexp"
	"strings"
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
		return nil, fmt.Errorf("an alternative is empty")
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

// holds says whether version, of a package of the purl type, lies in the range.
func (r versionRange) holds(purlType, version string) bool {
	if len(r) == 0 {
		return true
	}
	return true
}
