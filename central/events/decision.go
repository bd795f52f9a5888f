package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
	"portcullis/scanner-client/verdict"
)

const (
	maxCount    = 1_000_000_000 // of one folded decision; a sum of them has to fit
	maxImage    = 1024          // bytes of an image's name
	maxWords    = 8 << 10       // bytes of a text for people
	maxEvidence = 64 << 10      // bytes of all that matched
	maxAsks     = 64
	maxFindings = 200 // that an event can be found by
	maxFinding  = 128 // bytes
)

// decision reads what a node says of a decision. What is too long is cut, because the count matters
// more; an error says that it cannot be counted.
func decision(folded *portcullisv1.FoldedDecision, now time.Time) (store.Decision, error) {
	e := folded.GetEvent()
	switch {
	case e.GetAction() != portcullisv1.Action_ACTION_ALERT && e.GetAction() != portcullisv1.Action_ACTION_BLOCK:
		return store.Decision{}, fmt.Errorf("action %d is neither alert nor block", e.GetAction())
	case e.GetCount() < 1 || e.GetCount() > maxCount:
		return store.Decision{}, fmt.Errorf("count %d is out of range; 1 to %d can be counted", e.GetCount(), maxCount)
	}
	d := store.Decision{
		Action: int(e.GetAction()), Severity: severityRank(e.GetSeverity()), Policy: policy.Printable(e.GetPolicy()),
		Namespace: policy.Printable(e.GetNamespace()), Pod: policy.Printable(e.GetPod()), PodUID: policy.Printable(e.GetPodUid()),
		PodAddress: policy.Printable(e.GetPodAddress()), Container: policy.Printable(e.GetContainer()),
		Image: printable(e.GetImage(), maxImage), ImageID: policy.Printable(e.GetImageId()), Registry: registry(e.GetImage()),
		Operation: policy.Printable(e.GetOperation()), Revision: policy.Printable(e.GetBundleRevision()), Count: e.GetCount(),
	}
	d.First, d.Last = times(e, now)
	evidence := &portcullisv1.Event{
		Template: policy.Printable(e.GetTemplate()), Reason: policy.Printable(e.GetReason()), Severity: severityName(d.Severity),
		Because: printable(e.GetBecause(), maxWords), Message: words(e.GetMessage()), Asks: asks(e.GetAsks()), Matches: matches(e.GetMatches()),
		Summarised: e.GetSummarised(),
	}
	if t := e.GetEnforceAt(); t.IsValid() {
		evidence.EnforceAt = t
	}
	if evidence.Template == "" && len(evidence.Matches) > 0 {
		evidence.Template = policy.Printable(evidence.GetMatches()[0].GetFields()["Template"].GetStringValue())
	}
	d.Template, d.Findings = evidence.GetTemplate(), func() []string { return findings(evidence) }
	var err error
	d.Evidence, err = proto.MarshalOptions{Deterministic: true}.Marshal(evidence)
	return d, err
}

// times are when it happened. A node's clock may be wrong: what has not happened yet happens now.
func times(e *portcullisv1.Event, now time.Time) (first, last time.Time) {
	now = now.UTC().Truncate(time.Microsecond)
	last = past(e.GetLastTime(), now)
	return past(e.GetFirstTime(), last), last
}

func past(t *timestamppb.Timestamp, latest time.Time) time.Time {
	if t == nil || !t.IsValid() || t.AsTime().After(latest) || t.GetSeconds() <= 0 {
		return latest
	}
	return t.AsTime().Truncate(time.Microsecond)
}

// printable is one line of text, cut where it is too long.
func printable(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '�'
		}
		return r
	}, text)
}

// words is text that may have several lines.
func words(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i], maxWords)
	}
	text = strings.Join(lines, "\n")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}

func asks(all []*portcullisv1.Ask) []*portcullisv1.Ask {
	var kept []*portcullisv1.Ask
	for _, a := range all[:min(len(all), maxAsks)] {
		kept = append(kept, &portcullisv1.Ask{Parameter: policy.Printable(a.GetParameter()), Detail: policy.Printable(a.GetDetail())})
	}
	return kept
}

// matches are those that fit, the worst first.
func matches(all []*structpb.Struct) []*structpb.Struct {
	size := 0
	for i, m := range all {
		size += proto.Size(m)
		if size > maxEvidence {
			return all[:i]
		}
	}
	return all
}

// match is policy.Match as far as it is looked at here.
type match struct {
	Policy   string
	Template policy.Template
	Evidence []json.RawMessage
}

// evidence reads what matched. What cannot be read is left out: it is shown as it is, but not searched.
func evidence(e *portcullisv1.Event) []policy.Evidence {
	var all []policy.Evidence
	for _, encoded := range e.GetMatches() {
		text, err := encoded.MarshalJSON()
		if err != nil {
			continue
		}
		var m match
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		for _, one := range m.Evidence {
			var found policy.Evidence
			if json.Unmarshal(one, &found) == nil {
				all = append(all, found)
			}
		}
	}
	return all
}

// findings are the words that the event can be found by.
func findings(e *portcullisv1.Event) []string {
	seen := map[string]bool{}
	var all []string
	add := func(words ...string) {
		for _, word := range words {
			if word == "" || len(word) > maxFinding || seen[word] || len(all) >= maxFindings {
				continue
			}
			seen[word] = true
			all = append(all, printable(word, maxFinding))
		}
	}
	for _, found := range evidence(e) {
		switch {
		case found.Vulnerability != nil:
			add(found.Vulnerability.ID)
			add(found.Vulnerability.Aliases...)
		case found.Malware != nil:
			add(found.Malware.MD5, found.Malware.SHA256)
		case found.Secret != nil:
			add(found.Secret.Rule, found.Secret.Type)
		case found.Ask != nil:
			add(found.Ask.Parameter)
		}
	}
	for _, a := range e.GetAsks() {
		add(a.GetParameter())
	}
	return all
}

// registry is where the image's name says that it comes from; empty for an image ID.
func registry(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if name == "" || strings.HasPrefix(name, "sha256:") {
		return ""
	}
	host, _, found := strings.Cut(name, "/")
	if !found || host != "localhost" && !strings.ContainsAny(host, ".:") {
		return "docker.io"
	}
	return policy.Printable(host)
}

// Severities are kept as numbers, so that the least one can be asked for: 0 is none.
func severityRank(name string) int {
	severity, err := verdict.ParseSeverity(name)
	if err != nil {
		return 0
	}
	return int(severity) + 1
}

func severityName(rank int) string {
	if rank == 0 {
		return ""
	}
	return verdict.Severity(rank - 1).String() //nolint:gosec // G115: made by severityRank
}

var errEvidence = errors.New("evidence cannot be read")

// event is what the API says of an event.
func event(e store.Event) (*portcullisv1.Event, error) {
	told := &portcullisv1.Event{}
	if err := proto.Unmarshal(e.Evidence, told); err != nil {
		return nil, fmt.Errorf("event %s: %w: %w", e.ID, errEvidence, err)
	}
	told.Id, told.Action, told.Template, told.Policy, told.Severity = e.ID, portcullisv1.Action(e.Action), e.Template, e.Policy, severityName(e.Severity) //nolint:gosec // G115: 1 or 2
	told.Operation, told.Image, told.ImageId, told.Registry = e.Operation, e.Image, e.ImageID, e.Registry
	told.Cluster, told.Node, told.NodeId, told.NodeAddresses = e.Node.Cluster, e.Node.Name, e.Node.ID, e.Node.Addresses
	told.Namespace, told.Pod, told.PodUid, told.PodAddress, told.Container = e.Namespace, e.Pod, e.PodUID, e.PodAddress, e.Container
	told.BundleRevision, told.Count = e.Revision, e.Count
	told.FirstTime, told.LastTime = timestamppb.New(e.First), timestamppb.New(e.Last)
	return told, nil
}
