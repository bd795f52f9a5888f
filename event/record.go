package event

import (
	"encoding/json"
	"slices"
	"time"

	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

// Record is one decision as the Spool keeps it, or several that are the same but for their time. What a
// pod's author wrote is shortened and made printable: a record never outgrows maxRecord.
type Record struct {
	Action   policy.Action   `json:"action"`
	Policy   string          `json:"policy,omitempty"` // the strictest, "" where none matched
	Template policy.Template `json:"template,omitempty"`
	Reason   policy.Reason   `json:"reason"`
	Because  string          `json:"because"`
	Message  string          `json:"message,omitempty"` // what the pod's owner was told
	Matches  []policy.Match  `json:"matches,omitempty"`
	// Severity is the worst of the evidence, "" where it has none.
	Severity  string    `json:"severity,omitempty"`
	EnforceAt time.Time `json:"enforceAt,omitzero"`
	Operation string    `json:"operation"`
	Image     string    `json:"image,omitempty"` // as the pod names it
	ImageID   string    `json:"imageID,omitempty"`
	Cluster   string    `json:"cluster,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Pod       string    `json:"pod,omitempty"`

	PodUID     string       `json:"podUID,omitempty"`
	PodAddress string       `json:"podAddress,omitempty"`
	Container  string       `json:"container,omitempty"`
	Asks       []policy.Ask `json:"asks,omitempty"`
	Revision   string       `json:"revision,omitempty"`

	Count int64     `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Summarised says that decisions which differed in details were merged.
	Summarised bool `json:"summarised,omitempty"`
}

const (
	// maxRecord bounds one record in its JSON form, in bytes.
	maxRecord = 64 << 10
	// maxAsks bounds the privileged parameters of one record; the most dangerous come first.
	maxAsks = 50
	// maxText bounds the texts that grow with what matched, in bytes.
	maxText = 4 << 10
)

// newRecord describes one decision.
func newRecord(at time.Time, operation string, c *policy.Container, d *policy.Decision, told string) *Record {
	r := &Record{
		Action: d.Action, Reason: d.Reason, Because: short(d.Because()), Message: short(told), Operation: operation,
		Image: policy.Printable(c.Image.Requested), ImageID: policy.Printable(c.Image.ID), Cluster: policy.Printable(c.Cluster),
		Namespace: policy.Printable(c.Namespace), Pod: policy.Printable(c.Pod), PodUID: policy.Printable(c.PodUID),
		PodAddress: policy.Printable(c.PodAddress), Container: policy.Printable(c.Name), Revision: d.Revision,
		Count: 1, First: at.UTC(), Last: at.UTC(),
	}
	for _, ask := range c.Asks[:min(len(c.Asks), maxAsks)] {
		r.Asks = append(r.Asks, policy.Ask{Parameter: policy.Printable(ask.Parameter), Detail: policy.Printable(ask.Detail)})
	}
	if len(d.Matches) > 0 {
		r.Policy, r.Template, r.EnforceAt = d.Matches[0].Policy, d.Matches[0].Template, d.Matches[0].EnforceAt
		r.Severity = worst(d.Matches)
		r.Matches = fewer(d.Matches, maxFindings)
	}
	return r
}

// short cuts a text that may have grown with what matched.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	cut := maxText
	for cut > 0 && text[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return text[:cut] + "…"
}

// worst returns the worst severity among the evidence.
func worst(matches []policy.Match) string {
	found, severity := false, verdict.Unknown
	for _, m := range matches {
		for _, e := range m.Evidence {
			if s, ok := severityOf(e); ok {
				found, severity = true, max(severity, s)
			}
		}
	}
	if !found {
		return ""
	}
	return severity.String()
}

func severityOf(e policy.Evidence) (verdict.Severity, bool) {
	switch {
	case e.Vulnerability != nil:
		return e.Vulnerability.Severity, true
	case e.Malware != nil:
		return e.Malware.Severity, true
	case e.Secret != nil:
		return e.Secret.Level, true
	}
	return verdict.Unknown, false
}

// fewer returns matches with at most so many pieces of evidence together, and none that is very long,
// counting what it leaves out.
func fewer(matches []policy.Match, most int) []policy.Match {
	list := make([]policy.Match, 0, min(len(matches), most))
	for _, m := range matches[:min(len(matches), most)] {
		kept := make([]policy.Evidence, 0, min(len(m.Evidence), most))
		for _, e := range m.Evidence {
			if len(kept) < most && length(e) <= maxText {
				kept = append(kept, e)
			}
		}
		m.Omitted += len(m.Evidence) - len(kept)
		m.Evidence = kept
		most -= len(kept)
		list = append(list, m)
	}
	return list
}

// length is how much text there is in a piece of evidence, in bytes.
func length(e policy.Evidence) int {
	switch {
	case e.Vulnerability != nil:
		v := e.Vulnerability
		total := len(v.ID) + len(v.Package) + len(v.Version) + len(v.FixedVersion) + len(v.Type) + len(v.Path)
		for _, text := range slices.Concat(v.Aliases, v.Labels) {
			total += len(text)
		}
		return total
	case e.Malware != nil:
		return len(e.Malware.Path) + len(e.Malware.Signature) + len(e.Malware.Engine) + len(e.Malware.Type)
	case e.Secret != nil:
		return len(e.Secret.Path) + len(e.Secret.History) + len(e.Secret.Rule) + len(e.Secret.Type) + len(e.Secret.Redacted)
	case e.Ask != nil:
		return len(e.Ask.Parameter) + len(e.Ask.Detail)
	}
	return 0
}

// encode returns the JSON form, with as much evidence as there is room for.
func (r *Record) encode() []byte {
	shortened := *r
	for _, most := range []int{maxFindings, 10, 3, 0} {
		shortened.Matches = fewer(shortened.Matches, most)
		if text, err := json.Marshal(&shortened); err == nil && len(text) <= maxRecord {
			return text
		}
	}
	shortened.Asks, shortened.Because, shortened.Message = nil, "", "" // JSON may write one character as six
	text, _ := json.Marshal(&shortened)                                // plain data always marshals
	return text
}
