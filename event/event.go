// Package event answers: what was alerted and blocked on this node, and how often?
//
// A Recorder takes decisions as they are made, folds repeats of the same one, and writes each as an
// Event to a Sink: journald, or the log where there is no journal.
package event

import (
	"time"

	"portcullis/policy"
)

// MessageID marks every event in the journal: journalctl MESSAGE_ID=5b1f0f4a1b2946de8a3f7c94d0e6a2b7.
const MessageID = "5b1f0f4a1b2946de8a3f7c94d0e6a2b7"

// Event is an Alert or a Block as it is written down. The container and the decision are shared with
// others and not to be changed.
type Event struct {
	Operation string // CRI method that was judged
	Node      string
	Container *policy.Container
	Decision  *policy.Decision
	// Count is how many decisions this event stands for: 1 for the first, and in the summaries that
	// follow how many there were since the event before. Their sum is exact.
	Count       int
	First, Last time.Time // of those decisions
}

// Sink writes events down. It is called by one goroutine at a time.
type Sink interface {
	Write(Event) error
}

// Policy is the name of the policy that decided, "" when none did.
func (e Event) Policy() string {
	if len(e.Decision.Matches) == 0 {
		return ""
	}
	return e.Decision.Matches[0].Policy
}
