package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Options is what a bundle needs beyond its documents.
type Options struct {
	// Since returns when the observation countdown of a policy that does not say so itself started.
	// Without it, or while it returns the zero time, such a countdown has not started and observing
	// never turns to block.
	Since func(*ImagePolicy) time.Time
	// Defaults answers for RiskyImage policies that do not answer themselves.
	Defaults Unknowns
}

// Unknowns is what to do when a RiskyImage policy asks about a risk that nothing is known of.
type Unknowns struct {
	Unscanned    Answer // nobody has looked (default Allow)
	SourceFailed Answer // a verdict source failed or was too slow (default Alert)
}

// Bundle is one immutable snapshot of all policies and exemptions, compiled into lookups. It is safe
// for concurrent use.
type Bundle struct {
	revision   string
	policies   int
	rules      []rule      // enabled policies, by name
	exemptions []exemption // by name
	off        []string    // names of the policies that are switched off
	lookup     lookup
	cache      *cache
}

// Compile turns documents into a bundle. Documents that Parse returned always compile; of others the
// error lists every mistake.
func Compile(docs *Documents, options Options) (*Bundle, error) {
	if err := docs.Validate(); err != nil {
		return nil, err
	}
	for _, answer := range []Answer{options.Defaults.Unscanned, options.Defaults.SourceFailed} {
		if err := oneOf(answers)(string(answer)); answer != "" && err != nil {
			return nil, fmt.Errorf("default for what is unknown: %w", err)
		}
	}
	revision, err := revisionOf(docs)
	if err != nil {
		return nil, err
	}
	cache, err := newCache()
	if err != nil {
		return nil, fmt.Errorf("decision cache: %w", err)
	}
	b := &Bundle{revision: revision, policies: len(docs.Policies), lookup: newLookup(), cache: cache}
	for i := range docs.Policies {
		p := &docs.Policies[i]
		if !p.Spec.Enabled {
			b.off = append(b.off, p.Metadata.Name)
			continue
		}
		b.rules = append(b.rules, compileRule(p, options))
	}
	slices.SortFunc(b.rules, func(x, y rule) int { return cmp.Compare(x.name, y.name) })
	for i := range docs.Exemptions {
		b.exemptions = append(b.exemptions, compileExemption(&docs.Exemptions[i]))
	}
	slices.SortFunc(b.exemptions, func(x, y exemption) int { return cmp.Compare(x.name, y.name) })
	for i := range b.rules {
		b.lookup.addRule(i, &b.rules[i])
	}
	for i := range b.exemptions {
		b.lookup.addExemption(len(b.rules)+i, &b.exemptions[i])
	}
	return b, nil
}

// Revision identifies what the documents say: 12 hexadecimal digits that do not depend on their order,
// files, comments or layout.
func (b *Bundle) Revision() string { return b.revision }

// Len returns the number of policies, switched off ones too.
func (b *Bundle) Len() int { return b.policies }

// Expired counts the exemptions that have no effect any more at now.
func (b *Bundle) Expired(now time.Time) int {
	n := 0
	for i := range b.exemptions {
		if !now.Before(b.exemptions[i].expires) {
			n++
		}
	}
	return n
}

// Validate says what Parse would say of documents that did not come from a file.
func (d *Documents) Validate() error {
	var mistakes []error
	names := map[string]bool{}
	privileged := ""
	for i := range d.Policies {
		p := &d.Policies[i]
		report := collect(&mistakes, KindImagePolicy, p.Metadata.Name)
		p.check(report)
		if names[p.Metadata.Name] {
			report("metadata.name", "is the name of two policies; choose another")
		}
		names[p.Metadata.Name] = true
		if p.Spec.Template == TemplatePrivilegedStart {
			if privileged != "" {
				report("spec.template", onlyOnePrivileged, privileged)
			}
			privileged = fmt.Sprintf("%q", p.Metadata.Name)
		}
	}
	clear(names)
	for i := range d.Exemptions {
		e := &d.Exemptions[i]
		report := collect(&mistakes, KindExemption, e.Metadata.Name)
		e.check(report)
		if names[e.Metadata.Name] {
			report("metadata.name", "is the name of two exemptions; choose another")
		}
		names[e.Metadata.Name] = true
	}
	return errors.Join(mistakes...)
}

func collect(mistakes *[]error, kind, name string) report {
	return func(field, format string, args ...any) {
		*mistakes = append(*mistakes, fmt.Errorf("%s %q: %s: %s", kind, name, field, fmt.Sprintf(format, args...)))
	}
}

func revisionOf(docs *Documents) (string, error) {
	canonical := Documents{slices.Clone(docs.Policies), slices.Clone(docs.Exemptions)}
	slices.SortFunc(canonical.Policies, func(x, y ImagePolicy) int { return cmp.Compare(x.Metadata.Name, y.Metadata.Name) })
	slices.SortFunc(canonical.Exemptions, func(x, y Exemption) int { return cmp.Compare(x.Metadata.Name, y.Metadata.Name) })
	for i := range canonical.Exemptions {
		canonical.Exemptions[i].Spec.Expires = canonical.Exemptions[i].Spec.Expires.UTC()
	}
	text, err := json.Marshal(canonical)
	if err != nil {
		return "", fmt.Errorf("revision of the documents: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12], nil
}
