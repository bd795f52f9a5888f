package policy

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"portcullis/scanner-client/verdict"
)

// lookup finds, for a property of a finding, the rules and exemptions that name it. Both are numbered
// in one sequence, rules first: their numbers are called targets.
type lookup struct {
	advisories map[string]advisory // upper-case CVE or other ID
	hashes     map[string][]int    // lower-case MD5 or SHA-256
	components map[string][]wantedComponent
}

// advisory is who asks for an ID, and the classes that list it.
type advisory struct {
	targets []int
	classes mask
}

type wantedComponent struct {
	target   int
	versions versionRange
}

func newLookup() lookup {
	l := lookup{map[string]advisory{}, map[string][]int{}, map[string][]wantedComponent{}}
	for i, class := range classes {
		for _, cve := range class.CVEs {
			a := l.advisories[cve]
			a.classes |= 1 << i
			l.advisories[cve] = a
		}
	}
	return l
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
	a := l.advisories[advisoryKey(id)]
	a.targets = append(a.targets, target)
	l.advisories[advisoryKey(id)] = a
}

// advisoryKey spells an ID in the one way in which IDs are compared: databases differ in the case of
// GHSA IDs. A CVE ID has digits only.
func advisoryKey(id string) string {
	if strings.HasPrefix(id, "CVE-") {
		return id
	}
	return strings.ToUpper(id)
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

func (x *index) group(i int, groups mask) {
	for ; groups != 0; groups &= groups - 1 {
		group := bits.TrailingZeros32(uint32(groups))
		if x.groups[group] == nil {
			x.groups[group] = newBitset(x.size)
		}
		x.groups[group].add(i)
	}
}

func (x *index) level(i int, level verdict.Severity) {
	level = min(level, verdict.Critical)
	if x.levels[level] == nil {
		x.levels[level] = newBitset(x.size)
	}
	x.levels[level].add(i)
}

func (x *index) hit(i int, targets ...int) {
	for _, target := range targets {
		if x.hits[target] == nil {
			x.hits[target] = newBitset(x.size)
		}
		x.hits[target].add(i)
	}
}

func (l *lookup) indexVulnerabilities(v *verdict.Verdict) *index {
	list := sorted(v.Vulnerabilities, rankVulnerability, compareVulnerabilities)
	x := newIndex(len(list))
	x.evidence = func(i int) Evidence { return Evidence{Vulnerability: list[i]} }
	x.since = make([]time.Time, len(list))
	answers := map[versionQuestion]bool{}
	for i, f := range list {
		x.level(i, f.Severity)
		known := l.advisories[advisoryKey(f.ID)]
		x.hit(i, known.targets...)
		classes := known.classes
		for _, alias := range f.Aliases {
			known = l.advisories[advisoryKey(alias)]
			x.hit(i, known.targets...)
			classes |= known.classes
		}
		x.group(i, groupsOf(f, classes))
		l.hitComponents(x, i, f, answers)
		if fixable(f) {
			x.fixable.add(i)
		}
		x.since[i] = later(f.PublishedAt, f.FixedAt)
	}
	return x
}

// hitComponents hits the components that the finding's package is. An image has hundreds of findings in
// one version of one package, so answers about versions are kept.
func (l *lookup) hitComponents(x *index, i int, f *verdict.Vulnerability, answers map[versionQuestion]bool) {
	hit := func(wanted []wantedComponent) {
		for k := range wanted {
			question := versionQuestion{&wanted[k], f.Type, f.Version}
			inside, known := answers[question]
			if !known {
				inside = wanted[k].versions.holds(f.Type, f.Version)
				answers[question] = inside
			}
			if inside {
				x.hit(i, wanted[k].target)
			}
		}
	}
	name := componentKey(f.Package)
	hit(l.components[name])
	if _, artifact, ok := strings.Cut(name, ":"); ok { // Maven's group:artifact, known by its artifact
		hit(l.components[artifact])
	}
}

type versionQuestion struct {
	wanted            *wantedComponent
	purlType, version string
}

func (l *lookup) indexMalware(v *verdict.Verdict) *index {
	list := sorted(v.Malware, func(m *verdict.Malware) uint64 { return rankOf(m.Severity) }, compareMalware)
	x := newIndex(len(list))
	x.evidence = func(i int) Evidence { return Evidence{Malware: list[i]} }
	for i, f := range list {
		x.level(i, f.Severity)
		if group, known := malwareGroups[f.Type]; known {
			x.group(i, 1<<group)
		}
		x.hit(i, l.hashes[strings.ToLower(f.MD5)]...)
		x.hit(i, l.hashes[strings.ToLower(f.SHA256)]...)
	}
	return x
}

func (l *lookup) indexSecrets(v *verdict.Verdict) *index {
	list := sorted(v.Secrets, func(s *verdict.Secret) uint64 { return rankOf(s.Level) }, compareSecrets)
	x := newIndex(len(list))
	x.evidence = func(i int) Evidence { return Evidence{Secret: list[i]} }
	for i, f := range list {
		x.level(i, f.Level)
		if group, known := secretGroups[f.Type]; known {
			x.group(i, 1<<group)
		}
		x.hit(i, l.hashes[strings.ToLower(f.SHA256)]...)
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

// sorted returns pointers to the findings, the worst first: by rank, and by compare where that is equal.
// Ranks and places are sorted as plain numbers, because comparing findings would be most of the time
// that a first decision takes.
func sorted[F any](findings []F, rank func(*F) uint64, compare func(a, b *F) int) []*F {
	const place = 64 - rankBits
	order := make([]uint64, len(findings))
	for i := range findings {
		order[i] = rank(&findings[i])<<place | uint64(i)
	}
	slices.Sort(order)
	list := make([]*F, len(order))
	for i, o := range order {
		list[i] = &findings[o&(1<<place-1)]
	}
	for start, end := 0, 0; start < len(order); start = end {
		for end = start + 1; end < len(order) && order[end]>>place == order[start]>>place; {
			end++
		}
		slices.SortFunc(list[start:end], compare)
	}
	return list
}

// rankBits is the size of a rank; it leaves places for more findings than a verdict file can hold.
const rankBits = 40

// rankOf makes a worse level a smaller rank, and leaves the lower bits to what follows.
func rankOf(level verdict.Severity) uint64 {
	return uint64(verdict.Critical-min(level, verdict.Critical)) << (rankBits - 3)
}

// rankVulnerability puts the older CVE before the newer one, and IDs of other forms after them.
func rankVulnerability(v *verdict.Vulnerability) uint64 {
	const number, firstYear, other = 30, 1990, 1<<(rankBits-3) - 1
	year, rest, ok := strings.Cut(strings.TrimPrefix(v.ID, "CVE-"), "-")
	y, err := strconv.Atoi(year)
	n, err2 := strconv.ParseUint(rest, 10, number)
	if !ok || err != nil || err2 != nil || y < firstYear || y >= firstYear+1<<7-1 {
		return rankOf(v.Severity) | other
	}
	return rankOf(v.Severity) | uint64(y-firstYear)<<number | n
}

func compareVulnerabilities(a, b *verdict.Vulnerability) int {
	return cmp.Or(
		cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Package, b.Package),
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.FixedVersion, b.FixedVersion),
	)
}

func compareMalware(a, b *verdict.Malware) int {
	return cmp.Or(
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Signature, b.Signature),
		cmp.Compare(a.Type, b.Type),
		cmp.Compare(a.SHA256, b.SHA256),
		cmp.Compare(a.MD5, b.MD5),
	)
}

func compareSecrets(a, b *verdict.Secret) int {
	return cmp.Or(
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.History, b.History),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.SHA256, b.SHA256),
		cmp.Compare(a.Type, b.Type),
	)
}
