package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"portcullis/scanner-client/verdict"
)

// Action is what becomes of a start; a larger one is stricter.
type Action uint8

// The actions, from mildest to strictest.
const (
	Allow Action = iota
	Alert
	Block
)

func (a Action) String() string {
	switch a {
	case Allow:
		return "allow"
	case Alert:
		return "alert"
	case Block:
		return "block"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// MarshalText writes the action's name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Action) UnmarshalText(text []byte) error {
	for _, action := range []Action{Allow, Alert, Block} {
		if action.String() == string(text) {
			*a = action
			return nil
		}
	}
	return fmt.Errorf("unknown action %q", text)
}

// Reason says what a decision rests on.
type Reason string

// The reasons, in the order in which they win when several give the same action.
const (
	ReasonPolicy       Reason = "policy"        // at least one policy matched
	ReasonNoBundle     Reason = "no-bundle"     // the node has no policies yet
	ReasonSourceFailed Reason = "source-failed" // a verdict source failed or was too slow
	ReasonUnscanned    Reason = "unscanned"     // no scanner has looked at the image
	ReasonClean        Reason = "clean"         // judged, and nothing matched
)

// Decision is the answer for one container, Allow too, with everything needed to explain it. It is
// immutable and may be shared by all containers that ask the same question.
type Decision struct {
	Action   Action
	Reason   Reason
	Matches  []Match    // every policy that matched, strictest first, then by name
	Exempted []Exempted // what exemptions removed
	Revision string     // of the bundle that decided, "" when there was none
}

// Match is one policy that matched.
type Match struct {
	Policy   string   `json:"policy"`
	Template Template `json:"template"`
	// Action is Block; Alert while the policy observes or where it answers so for what is unknown.
	Action Action `json:"action"`
	// EnforceAt is when an observing policy begins to block; zero when it does not observe or its
	// countdown has not started.
	EnforceAt time.Time  `json:"enforceAt,omitzero"`
	Evidence  []Evidence `json:"evidence"`          // worst first, at most MaxEvidence
	Omitted   int        `json:"omitted,omitempty"` // how much more evidence there is
}

// MaxEvidence bounds the evidence that one match lists, so that a decision stays small enough to be
// kept and sent whatever a scanner finds.
const MaxEvidence = 100

// Evidence is one thing that made a policy match: exactly one field is set.
type Evidence struct {
	Vulnerability *verdict.Vulnerability `json:"vulnerability,omitempty"`
	Malware       *verdict.Malware       `json:"malware,omitempty"`
	Secret        *verdict.Secret        `json:"secret,omitempty"`
	Ask           *Ask                   `json:"ask,omitempty"`
	Unknown       *Unknown               `json:"unknown,omitempty"`
}

// Unknown is a kind of risk that a policy asks about and that nothing is known of.
type Unknown struct {
	Kind   verdict.Kind `json:"kind"`
	Failed bool         `json:"failed,omitempty"` // a verdict source failed; else nobody has looked
}

// Exempted is evidence that would have counted, had an exemption not covered it.
type Exempted struct {
	Policy    string
	Exemption string
	Evidence  []Evidence // worst first, at most MaxEvidence
	Omitted   int        // how much more evidence there is
}

// Pieces counts the evidence that d lists, exempted evidence too.
func (d *Decision) Pieces() int {
	pieces := 0
	for i := range d.Matches {
		pieces += len(d.Matches[i].Evidence)
	}
	for i := range d.Exempted {
		pieces += len(d.Exempted[i].Evidence)
	}
	return pieces
}

// Detach returns a copy of d for keeping. d itself keeps the whole verdicts in memory that its evidence
// is part of.
func (d *Decision) Detach() *Decision {
	detached := *d
	detached.Matches = slices.Clone(d.Matches)
	for i := range detached.Matches {
		detached.Matches[i].Evidence = detach(detached.Matches[i].Evidence)
	}
	detached.Exempted = slices.Clone(d.Exempted)
	for i := range detached.Exempted {
		detached.Exempted[i].Evidence = detach(detached.Exempted[i].Evidence)
	}
	return &detached
}

func detach(list []Evidence) []Evidence {
	detached := slices.Clone(list)
	for i := range detached {
		e := &detached[i]
		switch {
		case e.Vulnerability != nil:
			v := *e.Vulnerability
			v.Aliases, v.Labels, v.CWEs = slices.Clone(v.Aliases), slices.Clone(v.Labels), slices.Clone(v.CWEs)
			e.Vulnerability = &v
		case e.Malware != nil:
			m := *e.Malware
			e.Malware = &m
		case e.Secret != nil:
			s := *e.Secret
			e.Secret = &s
		}
	}
	return detached
}

// Knowledge is what is known of an image's risk at the moment of deciding.
type Knowledge struct {
	Verdict *verdict.Verdict // nil when the image is unscanned or its verdict could not be had
	Failed  bool             // a source failed or ran out of time: what Verdict does not cover may exist
}

// Stricter joins the decisions on two images of one container: the stricter action wins with its
// reason, and whatever matched in either is kept.
func Stricter(a, b *Decision) *Decision {
	if b.Action > a.Action {
		a, b = b, a
	}
	if len(b.Matches) == 0 && len(b.Exempted) == 0 {
		return a
	}
	joined := *a
	joined.Matches = slices.Concat(a.Matches, b.Matches)
	slices.SortStableFunc(joined.Matches, func(x, y Match) int {
		return cmp.Or(cmp.Compare(y.Action, x.Action), cmp.Compare(x.Policy, y.Policy))
	})
	joined.Exempted = slices.Concat(a.Exempted, b.Exempted)
	return &joined
}
