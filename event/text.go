package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"portcullis/policy"
)

// maxFindings bounds the evidence written with one event; all of it is in the image's verdict.
const maxFindings = 50

// Message says the event in one line, for people who read the journal or the log as it is.
func (e Event) Message() string {
	verb := "blocked"
	if e.Decision.Action == policy.Alert {
		verb = "alerted"
	}
	text := fmt.Sprintf("%s %s/%s container %s, image %s: %s", verb,
		policy.Printable(e.Container.Namespace), policy.Printable(e.Container.Pod), policy.Printable(e.Container.Name),
		policy.Printable(e.Container.Image.Requested), e.Decision.Because())
	if e.Count > 1 {
		text += fmt.Sprintf(" (%d times since %s)", e.Count, e.First.UTC().Format(time.RFC3339))
	}
	return text
}

// fields are the structured form of an event. The names are those of the journal without their
// prefix, in lower case, so that journal and log are searched with the same words.
func fields(e Event) logrus.Fields {
	return logrus.Fields{
		"action":    e.Decision.Action.String(),
		"policy":    e.Policy(),
		"reason":    string(e.Decision.Reason),
		"because":   e.Decision.Because(),
		"operation": e.Operation,
		"image":     policy.Printable(e.Container.Image.Requested),
		"image_id":  e.Container.Image.ID,
		"cluster":   e.Container.Cluster,
		"namespace": policy.Printable(e.Container.Namespace),
		"pod":       policy.Printable(e.Container.Pod),
		"pod_uid":   policy.Printable(e.Container.PodUID),
		"container": policy.Printable(e.Container.Name),
		"node":      e.Node,
		"revision":  e.Decision.Revision,
		"findings":  findings(e.Decision),
		"count":     e.Count,
		"first":     e.First.UTC().Format(time.RFC3339Nano),
		"last":      e.Last.UTC().Format(time.RFC3339Nano),
	}
}

// finding is one piece of evidence as it is written down: the policy, what kind, and the finding.
type finding struct {
	Policy string `json:"policy"`
	Action string `json:"action"`
	policy.Evidence
}

// findings is the evidence as a JSON list.
func findings(d *policy.Decision) string {
	list := []finding{}
	for _, m := range d.Matches {
		for _, evidence := range m.Evidence {
			if len(list) < maxFindings {
				list = append(list, finding{Policy: m.Policy, Action: m.Action.String(), Evidence: evidence})
			}
		}
	}
	text, err := json.Marshal(list)
	if err != nil { // plain data always marshals
		return "[]"
	}
	return string(text)
}
