package formats

import (
	"strings"

	cvss20 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"

	"portcullis/scanner-client/verdict"
)

// words are the names of severities in the world's databases, in lower case.
var words = map[string]verdict.Severity{
	"critical":      verdict.Critical,
	"high":          verdict.High,
	"important":     verdict.High,
	"major":         verdict.High,
	"medium":        verdict.Medium,
	"moderate":      verdict.Medium,
	"low":           verdict.Low,
	"minor":         verdict.Low,
	"negligible":    verdict.Negligible,
	"unimportant":   verdict.Negligible,
	"none":          verdict.Negligible,
	"info":          verdict.Negligible,
	"informational": verdict.Negligible,
}

// Severity reads a severity by any of its usual names, in any case; anything else is Unknown.
func Severity(word string) verdict.Severity {
	return words[strings.ToLower(strings.TrimSpace(word))]
}

// Score is one CVSS rating: the vector, the base score, or both.
type Score struct {
	Vector string
	Base   float64 // 0: not given
}

// Rate returns the scanner's own rating where it has one, else that of the worst CVSS base score. Those
// of version 2, which knows nothing critical, count only where there is no newer one.
func Rate(own string, scores ...Score) verdict.Severity {
	if severity := Severity(own); severity != verdict.Unknown {
		return severity
	}
	worst, worstOld := verdict.Unknown, verdict.Unknown
	for _, s := range scores {
		version, base, ok := s.evaluate()
		switch {
		case !ok:
		case version == 2:
			worstOld = max(worstOld, band(base))
		default:
			worst = max(worst, band(base))
		}
	}
	if worst == verdict.Unknown {
		return worstOld
	}
	return worst
}

func band(base float64) verdict.Severity {
	switch {
	case base >= 9:
		return verdict.Critical
	case base >= 7:
		return verdict.High
	case base >= 4:
		return verdict.Medium
	case base > 0:
		return verdict.Low
	}
	return verdict.Negligible
}

// evaluate returns the CVSS version, 4, 3 or 2, and the base score. A score without its vector counts
// as version 3, which is what tools give that leave the version out.
func (s Score) evaluate() (version int, base float64, ok bool) {
	version, base, ok = evaluateVector(s.Vector)
	if s.Base > 0 && s.Base <= 10 {
		if !ok {
			version = 3
		}
		return version, s.Base, true
	}
	return version, base, ok
}

func evaluateVector(vector string) (version int, base float64, ok bool) {
	if len(vector) > 512 {
		return 0, 0, false
	}
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := cvss40.ParseVector(vector)
		if err != nil {
			return 0, 0, false
		}
		return 4, v.Score(), true
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := cvss31.ParseVector(vector)
		if err != nil {
			return 0, 0, false
		}
		return 3, v.BaseScore(), true
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := cvss30.ParseVector(vector)
		if err != nil {
			return 0, 0, false
		}
		return 3, v.BaseScore(), true
	}
	v, err := cvss20.ParseVector(vector)
	if err != nil {
		return 0, 0, false
	}
	return 2, v.BaseScore(), true
}

// Reachable says whether a CVSS vector calls the weakness exploitable over the network.
func Reachable(scores ...Score) bool {
	for _, s := range scores {
		for metric := range strings.SplitSeq(s.Vector, "/") {
			if metric == "AV:N" {
				return true
			}
		}
	}
	return false
}
