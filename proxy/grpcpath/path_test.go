package grpcpath_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/proxy/grpcpath"
	"portcullis/proxy/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runtime is a container runtime whose answers each test scripts.
type runtime struct {
	cri.UnimplementedRuntimeServiceServer
	version func(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error)
	create  func(*cri.CreateContainerRequest) (*cri.CreateContainerResponse, error)
	events  func(grpc.ServerStreamingServer[cri.ContainerEventResponse]) error
}

func (r *runtime) Version(ctx context.Context, request *cri.VersionRequest) (*cri.VersionResponse, error) {
	return r.version(ctx, request)
}

func (r *runtime) CreateContainer(_ context.Context, request *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	return r.create(request)
}

func (r *runtime) GetContainerEvents(_ *cri.GetEventsRequest, stream grpc.ServerStreamingServer[cri.ContainerEventResponse]) error {
	return r.events(stream)
}

// guard guards CreateContainer and answers as the test says.
type guard struct {
	check func(request []byte) (func([]byte), error)
}

func (guard) Guards(method string) bool { return strings.HasSuffix(method, "/CreateContainer") }

func (g guard) Check(_ context.Context, _ string, request []byte) (func([]byte), error) {
	if g.check == nil {
		return nil, nil
	}
	return g.check(request)
}

func serveRuntime(t *testing.T, socket string, r *runtime) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20))
	cri.RegisterRuntimeServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

// start serves a path in front of socket and returns a client's connection to it.
func start(t *testing.T, socket string, g guard, options grpcpath.Options) *grpc.ClientConn {
	t.Helper()
	toRuntime, err := grpcpath.Dial(socket)
	require.NoError(t, err)
	path := grpcpath.New(toRuntime, g, options)
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "p.sock"))
	require.NoError(t, err)
	go func() { _ = path.Serve(listener) }()
	client, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	require.NoError(t, err)
	t.Cleanup(func() {
		client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		path.Stop(ctx)
		toRuntime.Close()
	})
	return client
}

func between(t *testing.T, r *runtime, g guard) cri.RuntimeServiceClient {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "r.sock")
	serveRuntime(t, socket, r)
	return cri.NewRuntimeServiceClient(start(t, socket, g, grpcpath.Options{}))
}

func TestMetadataAndTrailersPassBothWays(t *testing.T) {
	client := between(t, &runtime{version: func(ctx context.Context, _ *cri.VersionRequest) (*cri.VersionResponse, error) {
		received, _ := metadata.FromIncomingContext(ctx)
		_ = grpc.SetHeader(ctx, metadata.Pairs("got", strings.Join(received.Get("asked"), "+"), "bytes-bin", "\x00\xff"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("last", "word", "last-bin", received.Get("sent-bin")[0]))
		return &cri.VersionResponse{RuntimeName: "fake"}, nil
	}}, guard{})
	ctx := metadata.AppendToOutgoingContext(context.Background(), "asked", "one", "asked", "two", "sent-bin", "\x01\xfe")
	var header, trailer metadata.MD
	answer, err := client.Version(ctx, &cri.VersionRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	require.NoError(t, err)
	require.Equal(t, "fake", answer.GetRuntimeName())
	require.Equal(t, []string{"one+two"}, header.Get("got"))
	require.Equal(t, []string{"\x00\xff"}, header.Get("bytes-bin"))
	require.Equal(t, []string{"word"}, trailer.Get("last"))
	require.Equal(t, []string{"\x01\xfe"}, trailer.Get("last-bin"))
}

func TestStatusDetailsPassWithoutBeingDoubled(t *testing.T) {
	client := between(t, &runtime{version: func(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
		s, err := status.New(codes.ResourceExhausted, "no space: ünïcode").WithDetails(&errdetails.ErrorInfo{Reason: "DISK"})
		if err != nil {
			return nil, err
		}
		return nil, s.Err()
	}}, guard{})
	var trailer metadata.MD
	_, err := client.Version(context.Background(), &cri.VersionRequest{}, grpc.Trailer(&trailer))
	s := status.Convert(err)
	require.Equal(t, codes.ResourceExhausted, s.Code())
	require.Equal(t, "no space: ünïcode", s.Message())
	require.Len(t, s.Details(), 1)
	require.Equal(t, "DISK", s.Details()[0].(*errdetails.ErrorInfo).GetReason())
	require.Len(t, trailer.Get("grpc-status-details-bin"), 1)
}

func TestDeadlineReachesTheRuntime(t *testing.T) {
	var left time.Duration
	client := between(t, &runtime{version: func(ctx context.Context, _ *cri.VersionRequest) (*cri.VersionResponse, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			return nil, errors.New("no deadline")
		}
		left = time.Until(deadline)
		return &cri.VersionResponse{}, nil
	}}, guard{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	_, err := client.Version(ctx, &cri.VersionRequest{})
	require.NoError(t, err)
	require.Greater(t, left, 50*time.Minute)
}

func TestCancellationReachesTheRuntime(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	client := between(t, &runtime{version: func(ctx context.Context, _ *cri.VersionRequest) (*cri.VersionResponse, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}}, guard{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-began; cancel() }()
	_, err := client.Version(ctx, &cri.VersionRequest{})
	require.Equal(t, codes.Canceled, status.Code(err))
	<-ended
}

func TestMessagesOver16MiBPassBothWays(t *testing.T) {
	large := strings.Repeat("x", 17<<20)
	client := between(t, &runtime{version: func(_ context.Context, request *cri.VersionRequest) (*cri.VersionResponse, error) {
		return &cri.VersionResponse{Version: request.GetVersion()}, nil
	}}, guard{})
	answer, err := client.Version(context.Background(), &cri.VersionRequest{Version: large})
	require.NoError(t, err)
	require.Equal(t, large, answer.GetVersion())
}

func TestServerStreamsArriveMessageByMessage(t *testing.T) {
	next := make(chan struct{})
	client := between(t, &runtime{events: func(stream grpc.ServerStreamingServer[cri.ContainerEventResponse]) error {
		for _, id := range []string{"a", "b"} {
			if err := stream.Send(&cri.ContainerEventResponse{ContainerId: id}); err != nil {
				return err
			}
			<-next // the second is sent only after the client has the first
		}
		return nil
	}}, guard{})
	stream, err := client.GetContainerEvents(context.Background(), &cri.GetEventsRequest{})
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		message, err := stream.Recv()
		require.NoError(t, err)
		require.Equal(t, id, message.GetContainerId())
		next <- struct{}{}
	}
	_, err = stream.Recv()
	require.ErrorIs(t, err, io.EOF)
}

func TestUnknownServicesGetTheRuntimesOwnAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "r.sock")
	serveRuntime(t, socket, &runtime{})
	client := start(t, socket, guard{}, grpcpath.Options{})
	err := client.Invoke(context.Background(), "/some.future.Service/Do", &cri.VersionRequest{}, &cri.VersionResponse{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.Contains(t, err.Error(), "unknown service some.future.Service")
}

func TestRefusedCallNeverReachesTheRuntime(t *testing.T) {
	client := between(t, &runtime{create: func(*cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
		t.Error("the runtime saw a refused request")
		return &cri.CreateContainerResponse{}, nil
	}}, guard{check: func([]byte) (func([]byte), error) {
		return nil, status.Error(codes.PermissionDenied, "no")
	}})
	_, err := client.CreateContainer(context.Background(), &cri.CreateContainerRequest{})
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.Equal(t, "no", status.Convert(err).Message())
}

func TestAllowedCallIsForwardedAsItCameAndItsAnswerIsShownFirst(t *testing.T) {
	sent := &cri.CreateContainerRequest{PodSandboxId: "box"}
	// A field of a future CRI version.
	sent.ProtoReflect().SetUnknown([]byte("\xf8\x3e\x01"))
	var shown, answered []byte
	client := between(t, &runtime{create: func(received *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
		if !proto.Equal(received, sent) {
			return nil, errors.New("request was changed on its way")
		}
		return &cri.CreateContainerResponse{ContainerId: "c1"}, nil
	}}, guard{check: func(request []byte) (func([]byte), error) {
		shown = request
		return func(response []byte) { answered = response }, nil
	}})
	answer, err := client.CreateContainer(context.Background(), sent)
	require.NoError(t, err)
	require.Equal(t, "c1", answer.GetContainerId())
	var seen cri.CreateContainerRequest
	require.NoError(t, proto.Unmarshal(shown, &seen))
	require.True(t, proto.Equal(sent, &seen))
	var response cri.CreateContainerResponse
	require.NoError(t, proto.Unmarshal(answered, &response))
	require.Equal(t, "c1", response.GetContainerId())
}

func TestGuardedCallWithMoreOrLessThanOneMessageIsRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "r.sock")
	serveRuntime(t, socket, &runtime{create: func(*cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
		t.Error("the runtime saw a refused request")
		return &cri.CreateContainerResponse{}, nil
	}})
	client := start(t, socket, guard{}, grpcpath.Options{})
	for messages, want := range map[int]string{0: "no request message", 2: "more than one request message"} {
		stream, err := client.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/runtime.v1.RuntimeService/CreateContainer")
		require.NoError(t, err)
		for range messages {
			require.NoError(t, stream.SendMsg(&cri.CreateContainerRequest{}))
		}
		require.NoError(t, stream.CloseSend())
		err = stream.RecvMsg(&cri.CreateContainerResponse{})
		require.Equal(t, codes.InvalidArgument, status.Code(err))
		require.Contains(t, err.Error(), want)
	}
}

func TestRuntimeThatIsAwayIsUnavailableAtOnceAndBackSoonAfterItReturns(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "r.sock")
	client := cri.NewRuntimeServiceClient(start(t, socket, guard{}, grpcpath.Options{}))
	_, err := client.Version(context.Background(), &cri.VersionRequest{}) // no deadline: it must not wait
	require.Equal(t, codes.Unavailable, status.Code(err))
	serveRuntime(t, socket, &runtime{version: func(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
		return &cri.VersionResponse{}, nil
	}})
	require.Eventually(t, func() bool {
		_, err := client.Version(context.Background(), &cri.VersionRequest{})
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
}

func TestEveryCallIsReportedOnce(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "r.sock")
	serveRuntime(t, socket, &runtime{version: func(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
		return nil, status.Error(codes.NotFound, "gone")
	}})
	var reported sync.Map
	var count atomic.Int32
	client := cri.NewRuntimeServiceClient(start(t, socket, guard{}, grpcpath.Options{Finished: func(c wire.Call) {
		reported.Store(c.Method, c.Code)
		count.Add(1)
	}}))
	_, err := client.Version(context.Background(), &cri.VersionRequest{})
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Eventually(t, func() bool { return count.Load() == 1 }, 5*time.Second, time.Millisecond)
	code, _ := reported.Load("/runtime.v1.RuntimeService/Version")
	require.Equal(t, codes.NotFound, code)
}

func TestStopEndsStreamsThatNeverEndByThemselves(t *testing.T) {
	dir := t.TempDir()
	serveRuntime(t, filepath.Join(dir, "r.sock"), &runtime{events: func(stream grpc.ServerStreamingServer[cri.ContainerEventResponse]) error {
		if err := stream.Send(&cri.ContainerEventResponse{}); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}})
	toRuntime, err := grpcpath.Dial(filepath.Join(dir, "r.sock"))
	require.NoError(t, err)
	defer toRuntime.Close()
	path := grpcpath.New(toRuntime, guard{}, grpcpath.Options{})
	listener, err := net.Listen("unix", filepath.Join(dir, "p.sock"))
	require.NoError(t, err)
	go func() { _ = path.Serve(listener) }()
	client, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer client.Close()
	stream, err := cri.NewRuntimeServiceClient(client).GetContainerEvents(context.Background(), &cri.GetEventsRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	path.Stop(ctx)
	_, err = stream.Recv()
	require.Error(t, err)
}
