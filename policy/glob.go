package policy

import (
	"regexp"
	"strings"
)

// glob is a compiled wildcard pattern: ? stands for one character, * for any number of them within
// one part of a path, ** for any number of parts.
type glob struct {
	literal string
	pattern *regexp.Regexp // nil when the glob has no wildcard
}

// compileGlob compiles text; separator ends a part of a path, 0 when there is none.
func compileGlob(text string, separator byte) *glob {
	if !strings.ContainsAny(text, "*?") {
		return &glob{literal: text}
	}
	one := "."
	if separator != 0 {
		one = "[^" + regexp.QuoteMeta(string(separator)) + "]"
	}
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "**"):
			b.WriteString(".*")
			i++
		case text[i] == '*':
			b.WriteString(one + "*")
		case text[i] == '?':
			b.WriteString(one)
		default:
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		}
	}
	b.WriteString("$")
	return &glob{pattern: regexp.MustCompile(b.String())}
}

func (g *glob) match(text string) bool {
	if g.pattern == nil {
		return g.literal == text
	}
	return g.pattern.MatchString(text)
}
