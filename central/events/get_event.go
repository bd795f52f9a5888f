package events

import (
	"context"
	"fmt"
	"slices"
	"strings"

	portcullisv1 "portcullis/api/portcullis/v1"
	"portcullis/central/store"
	"portcullis/policy"
)

// GetEvent returns an event and what to do about it.
func (s *Service) GetEvent(ctx context.Context, r *portcullisv1.GetEventRequest) (*portcullisv1.GetEventResponse, error) {
	var found store.Event
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		found, err = tx.Event(ctx, r.GetId())
		return err
	})
	if err != nil {
		return nil, err
	}
	told, err := event(found)
	if err != nil {
		return nil, err
	}
	return &portcullisv1.GetEventResponse{Event: told, Remedy: remedy(told)}, nil
}

// maxAdvice bounds how many things of one kind the remedy names.
const maxAdvice = 10

// remedy says what to do, by what was found.
func remedy(e *portcullisv1.Event) string {
	var advice []string
	advise := func(format string, things []string) {
		if len(things) == 0 {
			return
		}
		named := strings.Join(things[:min(len(things), maxAdvice)], ", ")
		if more := len(things) - maxAdvice; more > 0 {
			named += fmt.Sprintf(" and %d more", more)
		}
		advice = append(advice, fmt.Sprintf(format, named))
	}
	found := sortOut(e)
	advise("Update %s, and build the image anew.", found.updates)
	advise("No fix is known yet for %s: leave out the package or choose another base image.", found.unfixed)
	advise("Remove %s, find out how it came into the image, and build the image anew from sources that you trust.", found.malware)
	advise("Take %s out of the image and its history, mount it as a Kubernetes Secret instead, and revoke what was in the image: whoever could pull the image has it.", found.secrets)
	advise("Leave %s out of the container's security context and volumes.", found.asks)
	advise("Have the image scanned for %s, and upload the report.", found.unknown)
	if len(advice) == 0 {
		advice = append(advice, byReason(e.GetReason()))
	}
	if e.GetPolicy() != "" {
		advice = append(advice, fmt.Sprintf("If it has to run as it is, ask for an exemption from the policy %q.", e.GetPolicy()))
	}
	return strings.Join(advice, "\n")
}

func byReason(reason string) string {
	switch policy.Reason(reason) {
	case policy.ReasonUnscanned:
		return "Have the image scanned, and upload the report."
	case policy.ReasonSourceFailed:
		return "The image's scan result could not be had in time: look at the node's verdict sources, and try again."
	case policy.ReasonNoBundle:
		return "The node has no policies yet: look at its connection to central."
	}
	return "Look at what the policy asks."
}

// things are what was found, by what can be done about it.
type things struct{ updates, unfixed, malware, secrets, asks, unknown []string }

func sortOut(e *portcullisv1.Event) (t things) {
	add := func(to *[]string, thing string) {
		if thing = policy.Printable(thing); !slices.Contains(*to, thing) {
			*to = append(*to, thing)
		}
	}
	for _, one := range evidence(e) {
		switch {
		case one.Vulnerability != nil && one.Vulnerability.FixedVersion != "":
			v := one.Vulnerability
			add(&t.updates, fmt.Sprintf("%s from %s to %s (%s)", v.Package, v.Version, v.FixedVersion, v.ID))
		case one.Vulnerability != nil:
			add(&t.unfixed, fmt.Sprintf("%s in %s %s", one.Vulnerability.ID, one.Vulnerability.Package, one.Vulnerability.Version))
		case one.Malware != nil:
			add(&t.malware, fmt.Sprintf("%s (%s)", one.Malware.Path, one.Malware.Signature))
		case one.Secret != nil && one.Secret.Path != "":
			add(&t.secrets, fmt.Sprintf("%s (%s)", one.Secret.Path, one.Secret.Rule))
		case one.Secret != nil:
			add(&t.secrets, fmt.Sprintf("what %s found in a build step", one.Secret.Rule))
		case one.Ask != nil && one.Ask.Detail != "":
			add(&t.asks, fmt.Sprintf("%s (%s)", one.Ask.Parameter, one.Ask.Detail))
		case one.Ask != nil:
			add(&t.asks, one.Ask.Parameter)
		case one.Unknown != nil:
			add(&t.unknown, string(one.Unknown.Kind))
		}
	}
	return t
}
