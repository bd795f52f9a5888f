// Package grpcpath answers: what must both ends see of a call that goes through a data path?
//
// It is the simple data path, a grpc-go server that knows no service and forwards every call of every
// service over one connection to the runtime without decoding a message. The tests compare the relay
// with it; the daemon does not use it.
package grpcpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"portcullis/proxy/wire"
)

// maxMessage leaves the limit to the two ends: they enforce 16 MiB or whatever they are set to.
const maxMessage = math.MaxInt32

// Options of a Path.
type Options struct {
	// Finished is told of every call after it ended. It may be nil and must not block.
	Finished func(wire.Call)
}

// Path is a data path between one listener and one runtime.
type Path struct {
	guard    wire.Guard
	observer wire.Observer // nil when the guard is none
	options  Options
	runtime  *grpc.ClientConn
	server   *grpc.Server
}

// Dial makes the one connection to the runtime that listens on the unix socket at path. The runtime
// need not be there: until it is, calls end with Unavailable at once.
func Dial(path string) (*grpc.ClientConn, error) {
	runtime, err := grpc.NewClient("unix:"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
		// grpc's own back-off grows to two minutes, for which a restarted runtime would stay unreachable.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("runtime socket %s: %w", path, err)
	}
	return runtime, nil
}

// New makes a path to the runtime at the other end of the connection that Dial made.
func New(runtime *grpc.ClientConn, guard wire.Guard, options Options) *Path {
	p := &Path{guard: guard, options: options, runtime: runtime}
	p.observer, _ = guard.(wire.Observer)
	p.server = grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.UnknownServiceHandler(p.handle),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
	)
	return p
}

// Serve accepts clients until Stop is called.
func (p *Path) Serve(listener net.Listener) error { return p.server.Serve(listener) }

// Stop refuses new calls, lets those under way finish until ctx ends, and then ends them. The
// connection to the runtime is left to whoever dialled it.
func (p *Path) Stop(ctx context.Context) {
	finished := make(chan struct{})
	go func() {
		p.server.GracefulStop()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		p.server.Stop()
		<-finished
	}
}

func (p *Path) handle(_ any, client grpc.ServerStream) error {
	began := time.Now()
	method, ok := grpc.MethodFromServerStream(client)
	if !ok {
		return status.Error(codes.Internal, "call without a method")
	}
	guarded := p.guard.Guards(method)
	forward := p.forward
	if guarded {
		forward = p.forwardGuarded
	}
	ctx, cancel := context.WithCancel(outgoing(client.Context()))
	defer cancel()
	err := forward(ctx, cancel, method, client)
	if p.options.Finished != nil {
		p.options.Finished(wire.Call{Method: method, Code: status.Code(err), Took: time.Since(began), Guarded: guarded})
	}
	return err
}

// outgoing turns what the client sent as metadata into what the runtime gets. Deadline and
// cancellation are the context's own and need nothing.
func outgoing(ctx context.Context) context.Context {
	received, _ := metadata.FromIncomingContext(ctx)
	sent := received.Copy()
	// Transport headers are this hop's own; grpc drops the others (":authority", "content-type" …).
	sent.Delete("grpc-accept-encoding")
	return metadata.NewOutgoingContext(ctx, sent)
}

func (p *Path) open(ctx context.Context, method string) (grpc.ClientStream, error) {
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	return p.runtime.NewStream(ctx, both, method, grpc.ForceCodecV2(rawCodec{}))
}

// forward carries a call that is not guarded: messages flow both ways at once.
func (p *Path) forward(ctx context.Context, cancel context.CancelFunc, method string, client grpc.ServerStream) error {
	runtime, err := p.open(ctx, method)
	if err != nil {
		return err
	}
	sent, answered := p.observe(method)
	go func() {
		if err := requests(client, runtime, sent); err != nil {
			cancel() // the client is gone: so is its call
		}
	}()
	return responses(runtime, client, answered)
}

// observe returns what is to see the first request and the first response of a call, nil for nobody.
func (p *Path) observe(method string) (sent, answered func([]byte)) {
	if p.observer == nil || !p.observer.Observes(method) {
		return nil, nil
	}
	request := make(chan []byte, 1)
	sent = func(message []byte) {
		select {
		case request <- message:
		default:
		}
	}
	answered = func(response []byte) {
		select {
		case first := <-request:
			p.observer.Observed(method, first, response)
		default:
		}
	}
	return sent, answered
}

// forwardGuarded carries a guarded call. All of these are unary: their one message is shown to the
// guard, and a second one, which would pass unseen, ends the call.
func (p *Path) forwardGuarded(ctx context.Context, _ context.CancelFunc, method string, client grpc.ServerStream) error {
	request, err := single(client)
	if err != nil {
		return err
	}
	answered, err := p.guard.Check(client.Context(), method, request.data.Materialize())
	if err != nil {
		request.data.Free()
		return err
	}
	runtime, err := p.open(ctx, method)
	if err != nil {
		request.data.Free()
		return err
	}
	if err := runtime.SendMsg(request); err == nil {
		_ = runtime.CloseSend() // never fails; the call's result comes with its responses
	}
	return responses(runtime, client, answered)
}

// single receives the only message of a unary call.
func single(client grpc.ServerStream) (*message, error) {
	first := &message{}
	if err := client.RecvMsg(first); errors.Is(err, io.EOF) {
		return nil, status.Error(codes.InvalidArgument, "portcullis: the call carries no request message")
	} else if err != nil {
		return nil, err
	}
	second := &message{}
	switch err := client.RecvMsg(second); {
	case errors.Is(err, io.EOF):
		return first, nil
	case err != nil:
		first.data.Free()
		return nil, err
	}
	first.data.Free()
	second.data.Free()
	return nil, status.Error(codes.InvalidArgument, "portcullis: the call carries more than one request message; send one")
}

// requests forwards what the client sends until it has sent everything or the call has ended.
func requests(client grpc.ServerStream, runtime grpc.ClientStream, sent func([]byte)) error {
	for {
		m := &message{}
		switch err := client.RecvMsg(m); {
		case errors.Is(err, io.EOF):
			return runtime.CloseSend()
		case err != nil:
			return err
		}
		if sent != nil {
			sent(m.data.Materialize())
		}
		if err := runtime.SendMsg(m); err != nil {
			return nil // the runtime has ended the call, and responses says how
		}
	}
}

// responses forwards what the runtime sends: headers as soon as they come, messages, and at the end
// the trailers and the status, which is the error returned.
func responses(runtime grpc.ClientStream, client grpc.ServerStream, answered func([]byte)) error {
	headers, err := runtime.Header()
	if err == nil && headers != nil {
		if err := client.SendHeader(headers); err != nil {
			return err
		}
	}
	for {
		m := &message{}
		err := runtime.RecvMsg(m)
		if err != nil {
			client.SetTrailer(runtime.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if answered != nil {
			answered(m.data.Materialize())
		}
		if err := client.SendMsg(m); err != nil {
			return err
		}
	}
}
