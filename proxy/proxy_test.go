package proxy_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/proxy"
)

const createContainer = "/runtime.v1.RuntimeService/CreateContainer"

// gate remembers what it was shown.
type gate struct {
	create  *cri.CreateContainerRequest
	start   *cri.StartContainerRequest
	sandbox *cri.RunPodSandboxRequest
	created string
	ran     string
	seen    []string
	panics  bool
	now     bool
}

func (g *gate) ImageSeen(id string) { g.seen = append(g.seen, id) }

func (g *gate) CreateContainer(_ context.Context, request *cri.CreateContainerRequest) (func(string), error) {
	if g.panics {
		panic("boom")
	}
	g.create = request
	return func(id string) { g.created = id }, nil
}

func (g *gate) StartContainer(_ context.Context, request *cri.StartContainerRequest) error {
	g.start = request
	return nil
}

func (g *gate) StartContainerNow(request *cri.StartContainerRequest) bool {
	if g.panics {
		panic("boom")
	}
	g.start = request
	return g.now
}

func (g *gate) RunPodSandbox(_ context.Context, request *cri.RunPodSandboxRequest) (func(string), error) {
	g.sandbox = request
	return func(id string) { g.ran = id }, nil
}

func newGuard() (*proxy.Guard, *gate) {
	log, _ := test.NewNullLogger()
	g := &gate{}
	return proxy.NewGuard(g, g, log), g
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}

func TestGuardsEveryNameUnderWhichARuntimeWouldStartAContainer(t *testing.T) {
	guard, _ := newGuard()
	for method, want := range map[string]bool{
		"/runtime.v1.RuntimeService/CreateContainer":       true,
		"/runtime.v1.RuntimeService/StartContainer":        true,
		"/runtime.v1.RuntimeService/RunPodSandbox":         true,
		"/runtime.v1alpha2.RuntimeService/CreateContainer": true,
		"runtime.v1.RuntimeService/CreateContainer":        true,
		"/runtime.v1.RuntimeService/Version":               false,
		"/runtime.v1.ImageService/PullImage":               false,
		"/other.Service/CreateContainer":                   false,
		"":                                                 false,
	} {
		require.Equal(t, want, guard.Guards(method), method)
	}
}

func TestEachMethodReachesTheGateAndItsAnswerToo(t *testing.T) {
	guard, gate := newGuard()
	answered, err := guard.Check(context.Background(), createContainer, marshal(t, &cri.CreateContainerRequest{PodSandboxId: "box"}))
	require.NoError(t, err)
	require.Equal(t, "box", gate.create.GetPodSandboxId())
	answered(marshal(t, &cri.CreateContainerResponse{ContainerId: "c1"}))
	require.Equal(t, "c1", gate.created)

	answered, err = guard.Check(context.Background(), "/runtime.v1.RuntimeService/RunPodSandbox", marshal(t, &cri.RunPodSandboxRequest{RuntimeHandler: "h"}))
	require.NoError(t, err)
	require.Equal(t, "h", gate.sandbox.GetRuntimeHandler())
	answered(marshal(t, &cri.RunPodSandboxResponse{PodSandboxId: "s1"}))
	require.Equal(t, "s1", gate.ran)

	answered, err = guard.Check(context.Background(), "/runtime.v1.RuntimeService/StartContainer", marshal(t, &cri.StartContainerRequest{ContainerId: "c1"}))
	require.NoError(t, err)
	require.Nil(t, answered)
	require.Equal(t, "c1", gate.start.GetContainerId())
}

func TestUnreadableRequestsAreRefused(t *testing.T) {
	guard, _ := newGuard()
	for _, method := range []string{createContainer, "/runtime.v1.RuntimeService/StartContainer", "/runtime.v1.RuntimeService/RunPodSandbox"} {
		for name, raw := range map[string][]byte{
			"not protobuf":       []byte("\xff\xff\xff"),
			"field cut short":    protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.BytesType), 100),
			"config cut short":   protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), []byte("\x12\x7f")),
			"field number zero":  {0x02, 0x00},
			"group never closed": protowire.AppendTag(nil, 9, protowire.StartGroupType),
		} {
			if name == "config cut short" && method != createContainer {
				continue
			}
			_, err := guard.Check(context.Background(), method, raw)
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%s: %s", method, name)
			require.Contains(t, err.Error(), "cannot be decoded")
		}
	}
}

func TestBytesThatAreNotUTF8InWhatNobodyJudgesAreFine(t *testing.T) {
	config := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), []byte("run\xff")) // command
	config = protowire.AppendBytes(protowire.AppendTag(config, 4, protowire.BytesType), []byte("-x\xfe"))
	env := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("KEY\xfd"))
	env = protowire.AppendBytes(protowire.AppendTag(env, 2, protowire.BytesType), []byte("\x80\x81"))
	config = protowire.AppendBytes(protowire.AppendTag(config, 6, protowire.BytesType), env)
	config = append(config, marshal(t, &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "app"}, Image: &cri.ImageSpec{Image: "sha256:1"},
		Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{Privileged: true}},
	})...)
	raw := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), config)

	guard, gate := newGuard()
	_, err := guard.Check(context.Background(), createContainer, raw)
	require.NoError(t, err)
	require.Equal(t, "app", gate.create.GetConfig().GetMetadata().GetName())
	require.True(t, gate.create.GetConfig().GetLinux().GetSecurityContext().GetPrivileged())
}

func TestBytesThatAreNotUTF8InWhatIsJudgedAreRefused(t *testing.T) {
	image := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("\xffimage"))
	config := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), image)
	guard, _ := newGuard()
	_, err := guard.Check(context.Background(), createContainer, protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), config))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

// A message may carry its config in pieces; the runtime merges them, and so must we.
func TestPrivilegesHiddenInASecondPieceOfTheConfigAreSeen(t *testing.T) {
	piece := func(c *cri.ContainerConfig) []byte { return marshal(t, &cri.CreateContainerRequest{Config: c}) }
	raw := append(piece(&cri.ContainerConfig{Image: &cri.ImageSpec{Image: "sha256:1"}}),
		piece(&cri.ContainerConfig{Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{Privileged: true}}})...)
	guard, gate := newGuard()
	_, err := guard.Check(context.Background(), createContainer, raw)
	require.NoError(t, err)
	require.Equal(t, "sha256:1", gate.create.GetConfig().GetImage().GetImage())
	require.True(t, gate.create.GetConfig().GetLinux().GetSecurityContext().GetPrivileged())
}

func TestImagesThatArePulledOrAskedForAreSeen(t *testing.T) {
	guard, gate := newGuard()
	for method, response := range map[string]proto.Message{
		"/runtime.v1.ImageService/PullImage":         &cri.PullImageResponse{ImageRef: "sha256:1"},
		"/runtime.v1.ImageService/ImageStatus":       &cri.ImageStatusResponse{Image: &cri.Image{Id: "sha256:1"}},
		"/runtime.v1alpha2.ImageService/ImageStatus": &cri.ImageStatusResponse{Image: &cri.Image{Id: "sha256:1"}},
	} {
		require.True(t, guard.Observes(method))
		guard.Observed(method, nil, marshal(t, response))
	}
	require.Equal(t, []string{"sha256:1", "sha256:1", "sha256:1"}, gate.seen)

	guard.Observed("/runtime.v1.ImageService/ImageStatus", nil, marshal(t, &cri.ImageStatusResponse{})) // no such image
	guard.Observed("/runtime.v1.ImageService/ImageStatus", nil, []byte("\xff"))
	require.Len(t, gate.seen, 3)
	require.False(t, guard.Observes("/runtime.v1.ImageService/ListImages"))
	require.False(t, guard.Observes("/runtime.v1.RuntimeService/PullImage"))
}

func TestAPanicRefusesOneRequestAndIsLogged(t *testing.T) {
	log, hook := test.NewNullLogger()
	guard := proxy.NewGuard(&gate{panics: true}, &gate{}, log)
	_, err := guard.Check(context.Background(), createContainer, nil)
	require.Equal(t, codes.Internal, status.Code(err))
	require.Equal(t, logrus.ErrorLevel, hook.LastEntry().Level)
	require.Contains(t, hook.LastEntry().Data["stack"], "CreateContainer")
}

const startContainer = "/runtime.v1.RuntimeService/StartContainer"

func TestOnlyAStartIsEverAnsweredAtOnce(t *testing.T) {
	log, _ := test.NewNullLogger()
	g := &gate{now: true}
	guard := proxy.NewGuard(g, g, log)
	start := marshal(t, &cri.StartContainerRequest{ContainerId: "c1"})
	for method, want := range map[string]bool{
		startContainer: true,
		"runtime.v1.RuntimeService/StartContainer":        true,
		"/runtime.v1alpha2.RuntimeService/StartContainer": true,
		createContainer: false,
		"/runtime.v1.RuntimeService/RunPodSandbox": false,
		"/runtime.v1.ImageService/StartContainer":  false,
	} {
		answered, ok := guard.CheckNow(method, start)
		require.Equal(t, want, ok, method)
		require.Nil(t, answered)
	}
	for name, raw := range map[string][]byte{"unreadable": []byte("\xff"), "large": append(start, marshal(t, &cri.StartContainerRequest{ContainerId: strings.Repeat("c", 2000)})...)} {
		_, ok := guard.CheckNow(startContainer, raw)
		require.False(t, ok, name)
	}
	g.panics = true
	_, ok := guard.CheckNow(startContainer, start)
	require.False(t, ok)
}

func FuzzCreateContainerIsReadAsTheRuntimeReadsIt(f *testing.F) {
	f.Add(marshal(f, &cri.CreateContainerRequest{PodSandboxId: "box", Config: &cri.ContainerConfig{
		Image: &cri.ImageSpec{Image: "i"}, Command: []string{"c"}, Envs: []*cri.KeyValue{{Key: "k", Value: []byte("v")}},
	}}))
	f.Add([]byte(strings.Repeat("\x12", 64)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		guard, gate := newGuard()
		before := bytes.Clone(raw)
		_, err := guard.Check(context.Background(), createContainer, raw)
		require.Equal(t, before, raw, "the request was changed")
		want := &cri.CreateContainerRequest{}
		if proto.Unmarshal(raw, want) != nil {
			return // the gate may read more than a strict decoder, never less
		}
		require.NoError(t, err)
		if want.Config != nil {
			want.Config.Command, want.Config.Args, want.Config.WorkingDir, want.Config.Envs = nil, nil, "", nil
		}
		require.True(t, proto.Equal(want, gate.create), "%v\n%v", want, gate.create)
	})
}
