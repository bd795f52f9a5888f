// Package wiretest answers: does a data path keep its promises, and does nobody notice that it is there?
//
// Conformance is what every data path must do. Calls are scripts that a fake runtime plays; made
// directly and through a data path, both ends must see the same.
package wiretest

import (
	"context"
	"encoding/gob"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// scriptKey is the metadata that tells the Runtime what to do with a call, callKey the name under
// which it remembers it.
const (
	scriptKey = "script-bin"
	callKey   = "call"
)

// Runtime is a container runtime that does with each call what the call's script says.
type Runtime struct {
	Socket string
	// Answers are the responses to calls without a script, by method.
	Answers  map[string][]byte
	server   *grpc.Server
	listener net.Listener // of StartRuntime

	mu        sync.Mutex
	seen      map[string]*Received
	delivered map[string]int
}

// Received is what the runtime saw of a call.
type Received struct {
	Method   string
	Metadata metadata.MD
	Left     time.Duration // until the deadline, to the nearest hour; negative for none
	Messages []Digest
	// Ended is how the call went on after the script was played, or where it was cut short.
	Ended string
}

// NewRuntime makes a runtime that does not serve yet.
func NewRuntime(options ...grpc.ServerOption) *Runtime {
	r := &Runtime{seen: map[string]*Received{}, delivered: map[string]int{}}
	r.server = grpc.NewServer(append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(r.handle),
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
	}, options...)...)
	return r
}

// StartRuntime serves a runtime on a unix socket at path until the test ends.
func StartRuntime(t testing.TB, path string, options ...grpc.ServerOption) *Runtime {
	t.Helper()
	r := NewRuntime(options...)
	r.Socket = path
	var err error
	r.listener, err = net.Listen("unix", path)
	require.NoError(t, err)
	go func() { _ = r.Serve(r.listener) }()
	t.Cleanup(r.Stop)
	return r
}

// Serve serves until Stop.
func (r *Runtime) Serve(listener net.Listener) error { return r.server.Serve(listener) }

// Stop ends the runtime as a crash would.
func (r *Runtime) Stop() {
	if r.listener != nil {
		r.listener.Close() // the server does not know it until it serves
	}
	r.server.Stop()
}

// Seen returns what the runtime saw of a call once it is done with it, nil if it saw nothing.
func (r *Runtime) Seen(call string) *Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[call]
}

// Delivered is how many messages of a call, and of others of that name, the runtime has got.
func (r *Runtime) Delivered(call string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delivered[call]
}

func (r *Runtime) handle(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	received, _ := metadata.FromIncomingContext(ctx)
	method, _ := grpc.MethodFromServerStream(stream)
	record := &Received{Method: method, Metadata: received.Copy(), Left: -1}
	if deadline, ok := ctx.Deadline(); ok {
		record.Left = time.Until(deadline).Round(time.Hour)
	}
	if response, ok := r.Answers[method]; ok && len(received.Get(scriptKey)) == 0 {
		return answer(stream, response)
	}
	script := &Script{}
	if encoded := received.Get(scriptKey); len(encoded) == 1 {
		if err := gob.NewDecoder(strings.NewReader(encoded[0])).Decode(script); err != nil {
			return err
		}
	}
	delete(record.Metadata, scriptKey) // the same script has many encodings
	err := script.play(stream, record)
	r.mu.Lock()
	defer r.mu.Unlock()
	call := strings.Join(received.Get(callKey), "+")
	r.seen[call] = record
	r.delivered[call] += len(record.Messages)
	return err
}

func answer(stream grpc.ServerStream, response []byte) error {
	if err := stream.RecvMsg(&[]byte{}); err != nil {
		return err
	}
	return stream.SendMsg(&response)
}

// Script is the runtime's side of a call.
type Script struct {
	Header     metadata.MD // sent as soon as the call begins
	HeaderOnly bool        // send headers even if there is nothing in them
	Requests   int         // read before the responses; negative for all there are
	Echo       bool        // answer every request with its own bytes, as it comes
	Responses  []int       // sizes
	Hang       bool        // then wait until the call is given up
	Trailer    metadata.MD
	Code       codes.Code
	Message    string
	Details    string
}

func (s *Script) play(stream grpc.ServerStream, record *Received) error {
	if s.HeaderOnly || len(s.Header) > 0 {
		if err := stream.SendHeader(s.Header); err != nil {
			record.Ended = "gone before its headers"
			return err
		}
	}
	if err := s.converse(stream, record); err != nil {
		record.Ended = "cut short: " + status.Code(err).String()
		return err
	}
	record.Ended = "played"
	if s.Hang {
		<-stream.Context().Done()
		record.Ended = "given up"
		return stream.Context().Err()
	}
	stream.SetTrailer(s.Trailer)
	if s.Code == codes.OK {
		return nil
	}
	result := status.New(s.Code, s.Message)
	if s.Details != "" {
		var err error
		if result, err = result.WithDetails(&errdetails.ErrorInfo{Reason: s.Details}); err != nil {
			return err
		}
	}
	return result.Err()
}

func (s *Script) converse(stream grpc.ServerStream, record *Received) error {
	for i := 0; s.Requests < 0 || i < s.Requests; i++ {
		var request []byte
		err := stream.RecvMsg(&request)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		record.Messages = append(record.Messages, digest(request))
		if s.Echo {
			if err := stream.SendMsg(&request); err != nil {
				return err
			}
		}
	}
	for i, size := range s.Responses {
		response := Bytes(uint64(i), size)
		if err := stream.SendMsg(&response); err != nil {
			return err
		}
	}
	return nil
}

// WaitFor waits until the runtime is done with a call, nil if that never happens.
func (r *Runtime) WaitFor(ctx context.Context, call string) *Received {
	for ctx.Err() == nil {
		if seen := r.Seen(call); seen != nil {
			return seen
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
