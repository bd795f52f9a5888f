package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"portcullis/scanner-client/verdict"
)

// lookup finds, for a property of a finding, the rules and exemptions that name it. Both are numbered
// in one sequence, rules first: their numbers are called targets.
type lookup struct {
	advisories map[string][]int // upper-case CVE or other ID
	hashes     map[string][]int // lower-case MD5 or SHA-256
	components map[string][]wantedComponent
}

type wantedComponent struct {
	target   int
	versions versionRange
}

func newLookup() lookup {
	return lookup{map[string][]int{}, map[string][]int{}, map[string][]wantedComponent{}}
}

func (l *lookup) addRule(target int, r *rule) {
	for _, id := range r.cves {
		l.addAdvisory(target, id)
	}
	for _, hash := range r.hashes {
		l.addHash(target, hash)
	}
	for _, c := range r.components {
		l.components[c.name] = append(l.components[c.name], wantedComponent{target, c.versions})
	}
}

func (l *lookup) addExemption(target int, e *exemption) {
	for _, finding := range e.findings {
		if checkAdvisory(finding) == nil {
			l.addAdvisory(target, finding)
		} else {
			l.addHash(target, finding)
		}
	}
}

func (l *lookup) addAdvisory(target int, id string) {
	id = strings.ToUpper(id)
	l.advisories[id] = append(l.advisories[id], target)
}

func (l *lookup) addHash(target int, hash string) {
	hash = strings.ToLower(hash)
	l.hashes[hash] = append(l.hashes[hash], target)
}

// index is the findings of one kind in one verdict, sorted worst first and turned into sets, so that a
// rule is a few set operations however many findings there are.
type index struct {
	size     int
	evidence func(i int) Evidence
	groups   [everyGroup + 1]bitset // nil: no finding
	levels   [verdict.Critical + 1]bitset
	fixable  bitset
	since    []time.Time    // when the finding became known, zero when that is not recorded
	hits     map[int]bitset // by target
}

func newIndex(size int) *index {
	x := &index{size: size, fixable: newBitset(size), hits: map[int]bitset{}}
	x.groups[everyGroup] = newBitset(size)
	for i := range size {
		x.groups[everyGroup].add(i)
	}
	return x
}

func (x *index) group(i, group int) {
	if x.groups[group] == nil {
		x.groups[group] = newBitset(x.size)
	}
	x.groups[group].add(i)
}

func (x *index) level(i int, level verdict.Severity) {
	level = min(level, verdict.Critical)
	if x.levels[level] == nil {
		x.levels[level] = newBitset(x.size)
	}
	x.levels[level].add(i)
}

func (x *index) hit(i int, targets []int) {
	for _, target := range targets {
		if x.hits[target] == nil {
			x.hits[target] = newBitset(x.size)
		}
		x.hits[target].add(i)
	}
}

func (l *lookup) indexVulnerabilities(v *verdict.Verdict) *index {
	list := sorted(v.Vulnerabilities, compareVulnerabilities)
	x := newIndex(len(list))
	x.evidence = func(i int) Evidence { return Evidence{Vulnerability: list[i]} }
	x.since = make([]time.Time, len(list))
	for i, f := range list {
		x.level(i, f.Severity)
		groups := groupsOf(f)
		for group := range everyGroup {
			if groups.has(group) {
				x.group(i, group)
			}
		}
		if fixable(f) {
			x.fixable.add(i)
		}
		x.since[i] = later(f.PublishedAt, f.FixedAt)
		x.hit(i, l.advisories[strings.ToUpper(f.ID)])
		for _, alias := range f.Aliases {
			x.hit(i, l.advisories[strings.ToUpper(alias)])
		}
		l.hitComponents(x, i, f)
	}
	return x
}

func (l *lookup) hitComponents(x *index, i int, f *verdict.Vulnerability) {
	name := componentKey(f.Package)
	wanted := l.components[name]
	if _, artifact, ok := strings.Cut(name, ":"); ok { // Maven's group:artifact, known by its artifact
		wanted = slices.Concat(wanted, l.components[artifact])
	}
	for _, c := range wanted {
		if c.versions.holds(f.Type, f.Version) {
			x.hit(i, []int{c.target})
		}
	}
}

func (l *lookup) indexMalware(v *verdict.Verdict) *index {
	list := sorted(v.Malware, compareMalware)
	x := newIndex(len(list))
	x.evidence = func(i int) Evidence { return Evidence{Malware: list[i]} }
	for i, f := range list {
		x.level(i, f.Severity)
		if group, known := malwareGroups[f.Type]; known {
			x.group(i, group)
		}
		x.hit(i, l.hashes[strings.ToLower(f.MD5)])
		x.hit(i, l.hashes[strings.ToLower(f.SHA256)])
	}
	return x
}

func (l *lookup) indexSecrets(v *verdict.Verdict) *index {
	list := sorted(v.Secrets, compareSecrets)
	x := newIndex(len(list))
	x.evidence = func(i int) Evidence { return Evidence{Secret: list[i]} }
	for i, f := range list {
		x.level(i, f.Level)
		if group, known := secretGroups[f.Type]; known {
			x.group(i, group)
		}
		x.hit(i, l.hashes[strings.ToLower(f.SHA256)])
	}
	return x
}

// choose returns the findings that the criterion of the rule numbered target selects at now.
func (x *index) choose(target int, c *criterion, now time.Time, w *window) bitset {
	chosen, severe := newBitset(x.size), newBitset(x.size)
	for group, members := range x.groups {
		if c.groups.has(group) {
			chosen.or(members)
		}
	}
	for level, members := range x.levels {
		if c.levels.has(level) {
			severe.or(members)
		}
	}
	chosen.and(severe)
	chosen.or(x.hits[target])
	if c.onlyFixable {
		chosen.and(x.fixable)
	}
	if c.grace > 0 {
		for i := range chosen.all {
			if since := x.since[i]; !since.IsZero() && !w.reached(since.Add(c.grace), now) {
				chosen.remove(i)
			}
		}
	}
	return chosen
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sorted returns pointers to the findings in the order of compare.
func sorted[F any](findings []F, compare func(a, b *F) int) []*F {
	list := make([]*F, len(findings))
	for i := range findings {
		list[i] = &findings[i]
	}
	slices.SortFunc(list, compare)
	return list
}

func compareVulnerabilities(a, b *verdict.Vulnerability) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Package, b.Package),
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Path, b.Path),
	)
}

func compareMalware(a, b *verdict.Malware) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Signature, b.Signature),
	)
}

func compareSecrets(a, b *verdict.Secret) int {
	return cmp.Or(
		cmp.Compare(b.Level, a.Level),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.History, b.History),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.SHA256, b.SHA256),
	)
}
