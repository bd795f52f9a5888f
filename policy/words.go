package policy

import (
	"fmt"
	"strings"
	"unicode"
)

// mentioned is how many findings of a match, and how many matches of a decision, are told in words;
// the rest are counted.
const mentioned = 3

// String says the evidence in one phrase that a pod's owner can act on.
func (e Evidence) String() string {
	switch {
	case e.Vulnerability != nil:
		v := e.Vulnerability
		fix := "no fix yet"
		if v.FixedVersion != "" {
			fix = "fixed in " + v.FixedVersion
		}
		return Printable(fmt.Sprintf("%s %s in %s %s (%s)", v.ID, v.Severity, v.Package, v.Version, fix))
	case e.Malware != nil:
		return Printable(fmt.Sprintf("%s %s at %s", e.Malware.Type, e.Malware.Signature, e.Malware.Path))
	case e.Secret != nil:
		where := e.Secret.Path
		if where == "" {
			where = e.Secret.History
		}
		return Printable(fmt.Sprintf("%s %s at %s", e.Secret.Level, e.Secret.Type, where))
	case e.Ask != nil && e.Ask.Detail != "":
		return Printable(fmt.Sprintf("asks for %s (%s)", e.Ask.Parameter, e.Ask.Detail))
	case e.Ask != nil:
		return Printable("asks for " + e.Ask.Parameter)
	case e.Unknown != nil && e.Unknown.Failed:
		return fmt.Sprintf("the scan result for %s could not be had", e.Unknown.Kind)
	case e.Unknown != nil:
		return fmt.Sprintf("not scanned for %s", e.Unknown.Kind)
	}
	return ""
}

// String says why the policy matched: its name, its worst evidence, and how much more there is. It
// is the same text for the same match, however often it is asked.
func (m Match) String() string {
	return fmt.Sprintf("policy %q: %s", m.Policy, phrase(m.Evidence, m.Omitted))
}

// phrase tells the worst evidence and counts the rest.
func phrase(list []Evidence, omitted int) string {
	phrases := make([]string, 0, mentioned+1)
	for _, e := range list[:min(mentioned, len(list))] {
		phrases = append(phrases, e.String())
	}
	if more := len(list) + omitted - mentioned; more > 0 {
		phrases = append(phrases, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(phrases, "; ")
}

// Because says in one line what the decision rests on: the policies behind its action or, where there
// are none, the reason.
func (d *Decision) Because() string {
	var phrases []string
	more := 0
	for _, m := range d.Matches {
		switch {
		case m.Action != d.Action:
		case len(phrases) < mentioned:
			phrases = append(phrases, m.String())
		default:
			more++
		}
	}
	if more > 0 {
		phrases = append(phrases, fmt.Sprintf("and %d more policies", more))
	}
	if phrases != nil {
		return strings.Join(phrases, "; ")
	}
	switch d.Reason {
	case ReasonNoBundle:
		return "this node has no policies yet"
	case ReasonSourceFailed:
		return "the image's scan result could not be had"
	case ReasonUnscanned:
		return "the image has not been scanned"
	}
	return "no policy matched"
}

// Printable makes text from outside safe to show: one line, no control characters, at most 512
// characters. Terminals, logs and journals would otherwise obey what a pod's author put in a name.
func Printable(text string) string {
	const limit = 512
	var b strings.Builder
	for n, r := range []rune(text) {
		if n == limit {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = '�'
		}
		b.WriteRune(r)
	}
	return b.String()
}
