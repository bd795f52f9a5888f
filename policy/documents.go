package policy

import "time"

// APIVersion is the form of documents that this package reads.
const APIVersion = "portcullis/v1"

// The kinds of documents.
const (
	KindImagePolicy = "ImagePolicy"
	KindExemption   = "Exemption"
)

// Documents is everything that operators wrote, in the order of the sources.
type Documents struct {
	Policies   []ImagePolicy
	Exemptions []Exemption
}

// Metadata names a document; names are unique within a kind.
type Metadata struct {
	Name string `yaml:"name" json:"name"`
}

// ImagePolicy is one rule set.
type ImagePolicy struct {
	APIVersion string     `yaml:"apiVersion" json:"apiVersion"`
	Kind       string     `yaml:"kind" json:"kind"`
	Metadata   Metadata   `yaml:"metadata" json:"metadata"`
	Spec       PolicySpec `yaml:"spec" json:"spec"`
}

// PolicySpec is what an ImagePolicy looks for, where, and with what effect.
type PolicySpec struct {
	Description string   `yaml:"description,omitempty" json:"description,omitempty"`
	Template    Template `yaml:"template" json:"template"`
	Enabled     bool     `yaml:"enabled" json:"enabled"`
	Effect      Effect   `yaml:"effect" json:"effect"`
	// Risk belongs to TemplateRiskyImage, Privileges to TemplatePrivilegedStart (nil: every class,
	// DenySelected).
	Risk       *Risk       `yaml:"risk,omitempty" json:"risk,omitempty"`
	Privileges *Privileges `yaml:"privileges,omitempty" json:"privileges,omitempty"`
	// Unscanned is this policy's answer for what was not scanned; "" leaves it to Options.Defaults.
	Unscanned Answer `yaml:"unscanned,omitempty" json:"unscanned,omitempty"`
	Scope     Scope  `yaml:"scope" json:"scope"`
}

// Template says which question a policy asks. It never changes after creation.
type Template string

// The templates.
const (
	TemplateRiskyImage      Template = "RiskyImage"
	TemplatePrivilegedStart Template = "PrivilegedStart"
)

// Effect says what a match leads to.
type Effect struct {
	Mode EffectMode `yaml:"mode" json:"mode"`
	Days int        `yaml:"days,omitempty" json:"days,omitempty"` // of observation, 1 to MaxObserveDays
	// Since is when the observation began or is to begin; zero leaves it to Options.Since.
	Since time.Time `yaml:"since,omitempty" json:"since,omitzero"`
}

// EffectMode is how a policy acts.
type EffectMode string

// The modes: block at once, or alert for a number of days and then block.
const (
	Immediate EffectMode = "Immediate"
	Observe   EffectMode = "Observe"
)

// Answer is what to do when nothing is known; the zero value leaves the choice to the next default.
type Answer string

// The answers.
const (
	AnswerAllow Answer = "Allow"
	AnswerAlert Answer = "Alert"
	AnswerBlock Answer = "Block"
)

// Action returns the action that the answer leads to; that of the zero value is Allow.
func (a Answer) Action() Action {
	switch a {
	case AnswerAlert:
		return Alert
	case AnswerBlock:
		return Block
	}
	return Allow
}

// Risk lists findings; any of the three kinds is enough for a match.
type Risk struct {
	Vulnerabilities *Vulnerabilities `yaml:"vulnerabilities,omitempty" json:"vulnerabilities,omitempty"`
	Malware         *Malware         `yaml:"malware,omitempty" json:"malware,omitempty"`
	Secrets         *Secrets         `yaml:"secrets,omitempty" json:"secrets,omitempty"`
}

// Vulnerabilities selects by CVEs, Components, Classes or Labels (any of them), narrowed by OnlyFixable
// and GracePeriod. Severities narrows Classes and Labels; without those two it selects by itself.
type Vulnerabilities struct {
	CVEs        []string    `yaml:"cves,omitempty" json:"cves,omitempty"`
	Components  []Component `yaml:"components,omitempty" json:"components,omitempty"`
	Classes     []string    `yaml:"classes,omitempty" json:"classes,omitempty"`
	Labels      []string    `yaml:"labels,omitempty" json:"labels,omitempty"`
	Severities  []string    `yaml:"severities,omitempty" json:"severities,omitempty"`
	OnlyFixable bool        `yaml:"onlyFixable,omitempty" json:"onlyFixable,omitempty"`
	GracePeriod string      `yaml:"gracePeriod,omitempty" json:"gracePeriod,omitempty"` // days: 14d
}

// Component is a package, in every version or in those of a range.
type Component struct {
	Name    string `yaml:"name" json:"name"`
	Version string `yaml:"version,omitempty" json:"version,omitempty"`
}

// Malware selects by any of its lists; with none of them, every malicious file.
type Malware struct {
	Types  []string `yaml:"types,omitempty" json:"types,omitempty"`
	MD5    []string `yaml:"md5,omitempty" json:"md5,omitempty"`
	SHA256 []string `yaml:"sha256,omitempty" json:"sha256,omitempty"`
}

// Secrets selects secrets of one of Types and one of Levels; a missing list stands for all.
type Secrets struct {
	Levels []string `yaml:"levels,omitempty" json:"levels,omitempty"`
	Types  []string `yaml:"types,omitempty" json:"types,omitempty"`
}

// Privileges selects privileged parameters.
type Privileges struct {
	Parameters []string      `yaml:"parameters,omitempty" json:"parameters,omitempty"` // classes and parameters; default: every class
	Rule       PrivilegeRule `yaml:"rule,omitempty" json:"rule,omitempty"`             // default: DenySelected
}

// PrivilegeRule says what the selected images mean to a PrivilegedStart policy.
type PrivilegeRule string

// The rules: selected images may not start privileged, or only they may.
const (
	DenySelected      PrivilegeRule = "DenySelected"
	AllowOnlySelected PrivilegeRule = "AllowOnlySelected"
)

// Scope is where a policy applies.
type Scope struct {
	Images     ImageScope `yaml:"images" json:"images"`
	Namespaces *NameScope `yaml:"namespaces,omitempty" json:"namespaces,omitempty"` // nil: every namespace
	Clusters   *NameScope `yaml:"clusters,omitempty" json:"clusters,omitempty"`     // nil: every cluster
}

// ImageScope selects images: all or those of Select, without those of Exclude. docs/policies.md
// describes the patterns.
type ImageScope struct {
	All     bool     `yaml:"all,omitempty" json:"all,omitempty"`
	Select  []string `yaml:"select,omitempty" json:"select,omitempty"`
	Exclude []string `yaml:"exclude,omitempty" json:"exclude,omitempty"`
}

// NameScope selects names: those of Select (default: all), without those of Exclude.
type NameScope struct {
	Select  []string `yaml:"select,omitempty" json:"select,omitempty"`
	Exclude []string `yaml:"exclude,omitempty" json:"exclude,omitempty"`
}

// Exemption is a recorded exception from policies.
type Exemption struct {
	APIVersion string        `yaml:"apiVersion" json:"apiVersion"`
	Kind       string        `yaml:"kind" json:"kind"`
	Metadata   Metadata      `yaml:"metadata" json:"metadata"`
	Spec       ExemptionSpec `yaml:"spec" json:"spec"`
}

// ExemptionSpec says who excepts what, why, and for how long.
type ExemptionSpec struct {
	Reason   string    `yaml:"reason" json:"reason"`
	Author   string    `yaml:"author" json:"author"`
	Expires  time.Time `yaml:"expires" json:"expires"`
	Images   []string  `yaml:"images,omitempty" json:"images,omitempty"`     // default: every image
	Policies []string  `yaml:"policies,omitempty" json:"policies,omitempty"` // default: every policy
	Findings []string  `yaml:"findings,omitempty" json:"findings,omitempty"` // CVE IDs, file hashes; default: every finding
}

// Expired says whether the exemption has no effect any more: it ends at exactly Expires.
func (e *Exemption) Expired(now time.Time) bool { return !now.Before(e.Spec.Expires) }
