package compact

import (
	"time"

	"portcullis/scanner-client/verdict"
)

func (w *writer) heading(v *verdict.Verdict) {
	w.string(v.Scanner.Name)
	w.string(v.Scanner.Version)
	w.string(v.Scanner.Database)
	w.count(len(v.Scanned))
	for _, kind := range v.Scanned {
		w.string(string(kind))
	}
}

func (r *reader) heading(v *verdict.Verdict) {
	v.Scanner = verdict.Scanner{Name: r.string(), Version: r.string(), Database: r.string()}
	for range r.count() {
		v.Scanned = append(v.Scanned, verdict.Kind(r.string()))
	}
}

func (w *writer) vulnerability(v *verdict.Vulnerability) {
	w.count(int(v.Severity))
	w.string(v.ID)
	w.string(v.Package)
	w.string(v.Version)
	w.string(v.FixedVersion)
	w.word(v.Type)
	w.string(v.Path)
	w.strings(v.Aliases)
	w.words(v.Labels)
	w.count(len(v.CWEs))
	for _, cwe := range v.CWEs {
		w.number(int64(cwe))
	}
	w.time(v.PublishedAt)
	w.time(v.FixedAt)
}

func (r *reader) vulnerability(v *verdict.Vulnerability) {
	*v = verdict.Vulnerability{
		Severity: r.severity(), ID: r.string(), Package: r.string(), Version: r.string(), FixedVersion: r.string(),
		Type: r.word(), Path: r.string(), Aliases: r.strings(), Labels: r.words(),
	}
	if n := r.count(); n > 0 {
		v.CWEs = cut(&r.numbers, n)
		for i := range v.CWEs {
			v.CWEs[i] = int(r.number())
		}
	}
	v.PublishedAt, v.FixedAt = r.time(), r.time()
}

func (w *writer) malware(m *verdict.Malware) {
	w.count(int(m.Severity))
	w.string(m.Path)
	w.string(m.MD5)
	w.string(m.SHA256)
	w.string(m.Signature)
	w.string(m.Engine)
	w.string(m.Type)
}

func (r *reader) malware(m *verdict.Malware) {
	*m = verdict.Malware{
		Severity: r.severity(), Path: r.string(), MD5: r.string(), SHA256: r.string(),
		Signature: r.string(), Engine: r.string(), Type: r.string(),
	}
}

func (w *writer) secret(s *verdict.Secret) {
	w.count(int(s.Level))
	w.string(s.Path)
	w.string(s.History)
	w.string(s.Rule)
	w.string(s.Type)
	w.string(s.Redacted)
	w.string(s.SHA256)
}

func (r *reader) secret(s *verdict.Secret) {
	*s = verdict.Secret{
		Level: r.severity(), Path: r.string(), History: r.string(), Rule: r.string(),
		Type: r.string(), Redacted: r.string(), SHA256: r.string(),
	}
}

func (w *writer) strings(list []string) {
	w.count(len(list))
	for _, s := range list {
		w.string(s)
	}
}

func (r *reader) strings() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := cut(&r.texts, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

// words that stand in nearly every finding take one byte. Their order is part of the form that snapshots
// are kept in: add at the end.
var words = []string{
	"fixable", "no-fix", "network", "known-exploited", "exploit-public", "os-package", "language-package",
	"deb", "rpm", "apk", "npm", "pypi", "maven", "golang", "gem", "cargo", "nuget", "composer",
}

var wordNumbers = func() map[string]int {
	numbers := map[string]int{}
	for i, word := range words {
		numbers[word] = i + 1
	}
	return numbers
}()

func (w *writer) word(s string) {
	number := wordNumbers[s]
	w.count(number)
	if number == 0 {
		w.string(s)
	}
}

func (r *reader) word() string {
	number := r.uvarint()
	switch {
	case number == 0:
		return r.string()
	case number > uint64(len(words)):
		r.fail()
		return ""
	}
	return words[number-1]
}

func (w *writer) words(list []string) {
	w.count(len(list))
	for _, s := range list {
		w.word(s)
	}
}

func (r *reader) words() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := cut(&r.texts, n)
	for i := range list {
		list[i] = r.word()
	}
	return list
}

func (r *reader) severity() verdict.Severity {
	n := r.uvarint()
	if n > uint64(verdict.Critical) {
		r.fail()
		return verdict.Unknown
	}
	return verdict.Severity(n)
}

// time writes a moment in UTC; the zero time is one byte.
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.count(0)
		return
	}
	w.count(1)
	w.number(t.Unix())
	w.number(int64(t.Nanosecond()))
}

func (r *reader) time() time.Time {
	if r.uvarint() == 0 {
		return time.Time{}
	}
	seconds, nanoseconds := r.number(), r.number()
	return time.Unix(seconds, nanoseconds).UTC()
}
