package policy

import (
	"cmp"
	"slices"
	"time"

	"portcullis/scanner-client/verdict"
)

// Decide answers for one container at now. The decision depends on nothing but its arguments and the
// bundle; asking again for the same is cheap.
func (b *Bundle) Decide(c *Container, k Knowledge, now time.Time) *Decision {
	key := b.cache.key(c)
	if d := b.cache.get(key, c, k, now); d != nil {
		return d
	}
	j := newJudgement(b, c, k, now)
	d := j.decide()
	b.cache.put(key, c, k, j.window, d)
	return d
}

// Recall returns what Decide would, if that has been decided before, else nil. It takes less than a
// microsecond.
func (b *Bundle) Recall(c *Container, k Knowledge, now time.Time) *Decision {
	return b.cache.get(b.cache.key(c), c, k, now)
}

// judgement is the making of one decision.
type judgement struct {
	bundle    *Bundle
	container *Container
	image     named
	knowledge Knowledge
	now       time.Time
	window    window

	indices [kinds]*index // nil without a verdict
	asks    []Ask         // sorted
	exempts []int         // places of the exemptions that cover the image now
	blind   bool          // a rule asks about a kind that nothing is known of
}

func newJudgement(b *Bundle, c *Container, k Knowledge, now time.Time) *judgement {
	j := &judgement{bundle: b, container: c, image: nameImage(&c.Image), knowledge: k, now: now, asks: sortAsks(c.Asks)}
	if v := k.Verdict; v != nil {
		l := &b.lookup
		j.indices = [kinds]*index{l.indexVulnerabilities(v), l.indexMalware(v), l.indexSecrets(v)}
	}
	for i := range b.exemptions {
		e := &b.exemptions[i]
		if e.selects(&j.image) && !j.window.reached(e.expires, now) {
			j.exempts = append(j.exempts, i)
		}
	}
	return j
}

func (j *judgement) decide() *Decision {
	d := &Decision{Revision: j.bundle.revision}
	for i := range j.bundle.rules {
		if r := &j.bundle.rules[i]; r.scope.covers(j.container, &j.image) {
			j.judge(i, r, d)
		}
	}
	slices.SortStableFunc(d.Matches, func(x, y Match) int { return cmp.Compare(y.Action, x.Action) })
	d.Reason = j.reason(d)
	return d
}

// judge adds to d what the rule numbered target makes of the container.
func (j *judgement) judge(target int, r *rule, d *Decision) {
	full := r.action(j.now, &j.window)
	answer := min(j.answer(r), full) // an observing rule does not block what is unknown either
	found := j.find(target, r, answer)
	j.exempt(r, found, d)
	match := Match{Policy: r.name, Template: r.template}
	if !found.unknown.empty() {
		match.Action = answer
	}
	if found.certain() {
		match.Action = full
	}
	if match.Action == Allow {
		return
	}
	if full == Alert {
		match.EnforceAt = r.enforceAt
	}
	match.Evidence, match.Omitted = j.list(found)
	d.Matches = append(d.Matches, match)
	d.Action = max(d.Action, match.Action)
}

// found is what speaks against the container: findings by kind, asks, and kinds that are unknown. Any
// of the sets may be nil.
type found struct {
	findings [kinds]bitset
	asks     bitset
	unknown  bitset
}

// certain says whether there is evidence of more than not knowing.
func (f *found) certain() bool {
	for _, set := range f.findings {
		if !set.empty() {
			return true
		}
	}
	return !f.asks.empty()
}

func (j *judgement) find(target int, r *rule, answer Action) *found {
	f := &found{}
	if r.template == TemplatePrivilegedStart {
		f.asks = j.asked(r)
		return f
	}
	for kind, criterion := range r.criteria {
		if criterion == nil {
			continue
		}
		if x := j.indices[kind]; x != nil {
			f.findings[kind] = x.choose(target, criterion, j.now, &j.window)
		}
		if j.knows(kind) {
			continue
		}
		j.blind = true
		if answer > Allow {
			if f.unknown == nil {
				f.unknown = newBitset(kinds)
			}
			f.unknown.add(kind)
		}
	}
	return f
}

// knows says whether anybody has looked for the kind.
func (j *judgement) knows(kind int) bool {
	return j.knowledge.Verdict != nil && j.knowledge.Verdict.Covers(kindNames[kind])
}

// answer returns what the rule does when nothing is known.
func (j *judgement) answer(r *rule) Action {
	if j.knowledge.Failed {
		return r.failed
	}
	return r.unscanned
}

// asked returns the asks that the rule is against. A capability that another such ask brings along is
// left out: privileged says it all.
func (j *judgement) asked(r *rule) bitset {
	wanted := func(parameter string) bool {
		i, known := parameterIndex[parameter]
		return known && r.parameters[i]
	}
	set := newBitset(len(j.asks))
	for i, ask := range j.asks {
		if wanted(ask.Parameter) && !wanted(broughtBy(ask)) {
			set.add(i)
		}
	}
	return set
}

// exempt moves what exemptions cover from f to d.
func (j *judgement) exempt(r *rule, f *found, d *Decision) {
	for _, i := range j.exempts {
		e := &j.bundle.exemptions[i]
		if !e.covers(r.name) {
			continue
		}
		if covered := j.take(e, len(j.bundle.rules)+i, f); covered.certain() || !covered.unknown.empty() {
			exempted := Exempted{Policy: r.name, Exemption: e.name}
			exempted.Evidence, exempted.Omitted = j.list(covered)
			d.Exempted = append(d.Exempted, exempted)
		}
	}
}

// take removes from f what the exemption numbered target covers, and returns it.
func (j *judgement) take(e *exemption, target int, f *found) *found {
	if len(e.findings) == 0 {
		all := *f
		*f = found{}
		return &all
	}
	covered := &found{}
	for kind, x := range j.indices {
		if x == nil || f.findings[kind] == nil || x.hits[target] == nil {
			continue
		}
		covered.findings[kind] = slices.Clone(x.hits[target])
		covered.findings[kind].and(f.findings[kind])
		f.findings[kind].without(covered.findings[kind])
	}
	return covered
}

// list returns the worst evidence of f, and how much more there is.
func (j *judgement) list(f *found) (list []Evidence, omitted int) {
	total := f.asks.count() + f.unknown.count()
	contributing := 0
	for kind, set := range f.findings {
		if n := set.count(); n > 0 {
			total, contributing = total+n, contributing+1
			list = appendSome(list, set, n, j.indices[kind].evidence)
		}
	}
	if contributing > 1 {
		slices.SortStableFunc(list, func(a, b Evidence) int { return cmp.Compare(b.severity(), a.severity()) })
	}
	list = appendSome(list, f.asks, len(j.asks), func(i int) Evidence { return Evidence{Ask: &j.asks[i]} })
	list = appendSome(list, f.unknown, kinds, func(i int) Evidence {
		return Evidence{Unknown: &Unknown{kindNames[i], j.knowledge.Failed}}
	})
	list = list[:min(len(list), MaxEvidence)]
	return slices.Clip(list), total - len(list)
}

// appendSome appends as much of set, which has at most n members, as one match can list.
func appendSome(list []Evidence, set bitset, n int, evidence func(i int) Evidence) []Evidence {
	end := len(list) + min(n, MaxEvidence)
	for i := range set.all {
		if len(list) == end {
			break
		}
		list = append(slices.Grow(list, end-len(list)), evidence(i))
	}
	return list
}

func (e Evidence) severity() verdict.Severity {
	switch {
	case e.Vulnerability != nil:
		return e.Vulnerability.Severity
	case e.Malware != nil:
		return e.Malware.Severity
	case e.Secret != nil:
		return e.Secret.Level
	}
	return verdict.Unknown
}

// reason says what d rests on.
func (j *judgement) reason(d *Decision) Reason {
	for _, m := range d.Matches {
		if m.Action == d.Action && m.Evidence[0].Unknown == nil {
			return ReasonPolicy
		}
	}
	switch {
	case !j.blind && j.knowledge.Verdict != nil:
		return ReasonClean
	case j.knowledge.Failed:
		return ReasonSourceFailed
	}
	return ReasonUnscanned
}
