package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"portcullis/scanner-client/verdict"
)

// rule is one enabled policy, compiled.
type rule struct {
	name     string
	template Template
	scope    scope

	observing bool
	enforceAt time.Time // zero while observing: the countdown has not started

	// criteria is what a RiskyImage rule looks for; nil for a kind that it does not ask about.
	criteria     [kinds]*criterion
	components   []component
	cves, hashes []string
	unscanned    Action
	failed       Action

	parameters []bool // what a PrivilegedStart rule looks for, by place in the catalogue
}

// The kinds of findings, as places in arrays.
const (
	vulnerabilities = iota
	malware
	secrets
	kinds
)

var kindNames = [kinds]verdict.Kind{verdict.KindVulnerabilities, verdict.KindMalware, verdict.KindSecrets}

// criterion selects findings of one kind: those of any of its groups that have one of its levels, and
// those that the lookup finds for the rule; then narrowed by the filters.
type criterion struct {
	groups      mask // classes and labels, or types
	levels      mask
	onlyFixable bool
	grace       time.Duration
}

// mask is a set of small numbers.
type mask uint32

func (m mask) has(i int) bool { return m&(1<<i) != 0 }

// everyGroup is the group that every finding is in; it stands after the named groups of any kind.
const everyGroup = 31

const everyLevel mask = 1<<(verdict.Critical+1) - 1

var severe = mask(1<<verdict.Critical | 1<<verdict.High)

func compileRule(p *ImagePolicy, options Options) rule {
	spec := &p.Spec
	r := rule{name: p.Metadata.Name, template: spec.Template, scope: compileScope(&spec.Scope)}
	if spec.Effect.Mode == Observe {
		r.observing = true
		since := spec.Effect.Since
		if since.IsZero() && options.Since != nil {
			since = options.Since(p)
		}
		if !since.IsZero() {
			r.enforceAt = since.Add(time.Duration(spec.Effect.Days) * 24 * time.Hour)
		}
	}
	if spec.Template == TemplatePrivilegedStart {
		r.compilePrivileges(spec.Privileges)
	} else {
		r.compileRisk(spec.Risk)
		r.unscanned = firstAnswer(spec.Unscanned, options.Defaults.Unscanned, AnswerAllow)
		r.failed = firstAnswer(options.Defaults.SourceFailed, AnswerAlert)
	}
	return r
}

func (r *rule) compileRisk(risk *Risk) {
	if v := risk.Vulnerabilities; v != nil {
		r.cves, r.components = v.CVEs, compileComponents(v.Components)
		c := &criterion{levels: levelMask(v.Severities, severe), onlyFixable: v.OnlyFixable}
		days, _ := parseDays(v.GracePeriod)
		c.grace = time.Duration(days) * 24 * time.Hour
		c.groups = groupMask(v.Classes, classGroups) | groupMask(v.Labels, labelGroups)
		if c.groups == 0 && (v.Severities != nil || len(v.CVEs)+len(v.Components) == 0) {
			c.groups = 1 << everyGroup
		}
		r.criteria[vulnerabilities] = c
	}
	if m := risk.Malware; m != nil {
		c := &criterion{groups: groupMask(m.Types, malwareGroups), levels: everyLevel}
		r.hashes = slices.Concat(m.MD5, m.SHA256)
		if c.groups == 0 && len(r.hashes) == 0 {
			c.groups = 1 << everyGroup
		}
		r.criteria[malware] = c
	}
	if s := risk.Secrets; s != nil {
		c := &criterion{groups: groupMask(s.Types, secretGroups), levels: levelMask(s.Levels, everyLevel)}
		if c.groups == 0 {
			c.groups = 1 << everyGroup
		}
		r.criteria[secrets] = c
	}
}

func levelMask(names []string, byDefault mask) mask {
	if len(names) == 0 {
		return byDefault
	}
	var m mask
	for _, name := range names {
		level, _ := verdict.ParseSeverity(name)
		m |= 1 << level
	}
	return m
}

// The groups of each kind by name. Vulnerabilities have two axes in one numbering, classes first.
var (
	classGroups   = number(0, classNames())
	labelGroups   = number(len(classes), labels)
	malwareGroups = number(0, malwareTypes)
	secretGroups  = number(0, secretTypes)
)

func number(first int, names []string) map[string]int {
	numbers := make(map[string]int, len(names))
	for i, name := range names {
		numbers[name] = first + i
	}
	return numbers
}

func groupMask(names []string, numbers map[string]int) mask {
	var m mask
	for _, name := range names {
		m |= 1 << numbers[name]
	}
	return m
}

// firstAnswer returns the action of the first answer that is given.
func firstAnswer(answers ...Answer) Action { return cmp.Or(answers...).Action() }

func (r *rule) compilePrivileges(p *Privileges) {
	names := parameterClasses
	if p != nil && len(p.Parameters) > 0 {
		names = p.Parameters
	}
	if p != nil && p.Rule == AllowOnlySelected {
		r.scope.images.inverted = true
	}
	r.parameters = make([]bool, len(parameters))
	for i, parameter := range parameters {
		r.parameters[i] = !parameter.ByName && slices.Contains(names, parameter.Class)
	}
	for _, name := range names {
		if parameter, ok := LookupParameter(name); ok {
			r.parameters[parameterIndex[parameter.Name]] = true
		}
	}
}

// action returns what a match of the rule leads to at now.
func (r *rule) action(now time.Time, w *window) Action {
	if !r.observing {
		return Block
	}
	if r.enforceAt.IsZero() {
		return Alert
	}
	if w.reached(r.enforceAt, now) {
		return Block
	}
	return Alert
}

// exemption is one Exemption, compiled.
type exemption struct {
	name     string
	expires  time.Time
	images   []pattern // nil: every image
	policies []string  // nil: every policy
	findings []string  // nil: every finding
}

func compileExemption(e *Exemption) exemption {
	return exemption{
		name:     e.Metadata.Name,
		expires:  e.Spec.Expires,
		images:   compilePatterns(e.Spec.Images),
		policies: e.Spec.Policies,
		findings: e.Spec.Findings,
	}
}

func (e *exemption) selects(image *named) bool {
	return e.images == nil || anyMatches(e.images, image)
}

func (e *exemption) covers(policy string) bool {
	return len(e.policies) == 0 || slices.Contains(e.policies, policy)
}

// component is one Component, compiled.
type component struct {
	name     string
	versions versionRange
}

func compileComponents(list []Component) []component {
	var compiled []component
	for _, c := range list {
		versions, _ := parseRange(c.Version)
		compiled = append(compiled, component{componentKey(c.Name), versions})
	}
	return compiled
}

// componentKey spells a package's name in the one way in which names are compared: registries differ
// in case and in underscores.
func componentKey(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}
