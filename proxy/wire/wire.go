// Package wire answers: what does a data path ask of the rest of the proxy, and what must it do with
// the answer?
//
// A data path carries calls between the kubelet and the runtime as bytes. It knows which calls to
// show to a Guard and nothing of what is in them.
package wire

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
)

// Guard is shown the calls that it guards before the runtime sees them.
type Guard interface {
	// Guards says whether calls of method, such as "/runtime.v1.RuntimeService/CreateContainer", are
	// shown to Check. It is asked once for every call and must be cheap.
	Guards(method string) bool

	// Check is shown the request message of a guarded call. An error, which carries a gRPC status,
	// ends the call and the runtime never gets the message. Otherwise the original bytes go on, and
	// when answered is not nil it is shown the runtime's response message before the client has all of
	// it. Check may wait, answered must not. ctx ends when the client goes away or its deadline passes.
	// Neither may keep or change what it is shown.
	Check(ctx context.Context, method string, request []byte) (answered func(response []byte), err error)
}

// Prompt is a Guard that can allow some calls at once.
type Prompt interface {
	// CheckNow allows a call that Check would allow without having to wait: for a runtime, a source, a
	// disk, or more than some microseconds of work. When it does not, ok is false, it has changed
	// nothing, and Check is asked. It is called where other calls of the client wait meanwhile.
	CheckNow(method string, request []byte) (answered func(response []byte), ok bool)
}

// Call is one finished call, as a data path reports it.
type Call struct {
	Method  string
	Code    codes.Code
	Took    time.Duration
	Guarded bool
}

// Observer is a Guard that also wants to see calls in which it has no say. They pass as if nobody
// looked.
type Observer interface {
	// Observes says whether calls of method are shown to Observed. It is asked once for every call
	// that is not guarded, and must be cheap.
	Observes(method string) bool

	// Observed is shown the request and the first response message of an observed call, before the
	// client has all of the latter. It must not wait, and must not keep or change the messages. A
	// call that has no such pair, or a larger one than the data path cares to keep, is not shown.
	Observed(method string, request, response []byte)
}
