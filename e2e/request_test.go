package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestRequestOfFiveMebibytesPasses(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("clean")
		n.runs(n.pod(lab.Pod{Name: "shop"}), lab.Container{
			Name: "web", Image: id, Annotations: map[string]string{"example.com/large": strings.Repeat("x", 5<<20)},
		})
	})
}

func TestLargeRequestIsJudgedToo(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("risky")
		n.scannedRisky(id)
		_, err := n.cri.Create(n.ctx, n.pod(lab.Pod{Name: "shop"}), lab.Container{
			Name: "web", Image: id, Annotations: map[string]string{"example.com/large": strings.Repeat("x", 5<<20)},
		})
		n.refused(err)
	})
}

func TestEnvironmentValueMayBeAnyBytes(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("clean")
		pod := n.pod(lab.Pod{Name: "shop"})
		container := lab.Container{
			Name: "web", Image: id, Arguments: []string{"env", "KEY"}, Env: map[string][]byte{"KEY": {'A', 0x80, 0xff, 'Z'}},
		}
		got, err := n.cri.Run(n.ctx, pod, container)
		require.NoError(n.t, err)

		container.Name = "direct"
		want, err := n.direct.Run(n.ctx, pod, container)
		require.NoError(n.t, err)
		require.Equal(n.t, want, got)
	})
}

func TestUnreadableGuardedRequestIsRefused(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("clean")
		pod := n.pod(lab.Pod{Name: "shop"})
		whole, err := proto.Marshal(pod.CreateRequest(lab.Container{Name: "web", Image: id}))
		require.NoError(n.t, err)
		for name, message := range map[string][]byte{
			"cut off":            whole[:len(whole)-1],
			"no protobuf at all": []byte("\xff\xff\xff\xff"),
			"text where a message belongs": append(whole[:len(whole):len(whole)],
				0x12, 3, 0xff, 0xff, 0xff), // field 2, config, of 3 bytes
		} {
			for _, method := range []string{"CreateContainer", "StartContainer", "RunPodSandbox"} {
				err := n.invoke("runtime.v1", method, message)
				if method != "CreateContainer" && name == "text where a message belongs" {
					continue // field 2 is another thing there
				}
				require.Equal(n.t, codes.InvalidArgument, status.Code(err), "%s %s: %v", name, method, err)
				require.Contains(n.t, err.Error(), "portcullis", "the runtime was asked")
			}
		}
		require.Zero(n.t, n.containers(pod))
	})
}

func TestRepeatedFieldsAreReadAsTheRuntimeReadsThem(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		clean, _ := n.image("clean")
		risky, _ := n.image("risky")
		n.scannedRisky(risky)
		pod := n.pod(lab.Pod{Name: "shop"})
		first, err := proto.Marshal(pod.CreateRequest(lab.Container{Name: "web", Image: clean}))
		require.NoError(n.t, err)
		second, err := proto.Marshal(pod.CreateRequest(lab.Container{Name: "web", Image: risky}))
		require.NoError(n.t, err)

		n.refused(n.invoke("runtime.v1", "CreateContainer", append(first, second...)))

		require.Zero(n.t, n.containers(pod))
	})
}

func TestOldAPIVersionIsNoWayAround(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		risky, _ := n.image("risky")
		n.scannedRisky(risky)
		pod := n.pod(lab.Pod{Name: "shop"})
		message, err := proto.Marshal(pod.CreateRequest(lab.Container{Name: "web", Image: risky}))
		require.NoError(n.t, err)

		err = n.invoke("runtime.v1alpha2", "CreateContainer", message)

		if n.containerd.Flavour.Name == "containerd-1.6" {
			n.refused(err)
		} else { // it has no such service, and may say so before the request is decided
			require.Contains(n.t, []codes.Code{codes.Unimplemented, codes.PermissionDenied}, status.Code(err))
		}
		require.Zero(n.t, n.containers(pod))
	})
}

func TestCompressedRequestIsNoWayAround(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		risky, _ := n.image("risky")
		n.scannedRisky(risky)
		pod := n.pod(lab.Pod{Name: "shop"})

		request := pod.CreateRequest(lab.Container{Name: "web", Image: risky})
		_, err := n.cri.Runtime.CreateContainer(n.ctx, request, grpc.UseCompressor(gzip.Name))

		require.Error(n.t, err)
		require.Zero(n.t, n.containers(pod))
	})
}

func TestRequestWithoutImageIsRefused(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web"})
		require.Equal(n.t, codes.InvalidArgument, status.Code(err), "%v", err)
		require.Contains(n.t, err.Error(), "image")
	})
}

func TestCheckpointPathIsRefused(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		pod := n.pod(lab.Pod{Name: "shop"})
		_, err := n.cri.Create(n.ctx, pod, lab.Container{Name: "web", Image: "/var/lib/checkpoint.tar"})
		n.refused(err)
	})
}

func TestUnknownImageAndSandboxGiveTheRuntimesOwnError(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, _ := n.image("clean")
		pod := n.pod(lab.Pod{Name: "shop"})
		for name, request := range map[string]*runtime.CreateContainerRequest{
			"unknown name": pod.CreateRequest(lab.Container{Name: "web", Image: world.registry.Address + "/unknown:v1"}),
			"unknown ID":   pod.CreateRequest(lab.Container{Name: "web", Image: "sha256:" + strings.Repeat("0", 64)}),
			"bad name":     pod.CreateRequest(lab.Container{Name: "web", Image: "No Name"}),
			"unknown sandbox": (&lab.Sandbox{ID: strings.Repeat("0", 64), Config: pod.Config}).
				CreateRequest(lab.Container{Name: "web", Image: id}),
		} {
			n.same(name, func(c *lab.CRI) (proto.Message, error) { return c.Runtime.CreateContainer(n.ctx, request) })
		}
	})
}

// invoke sends a message to a method of the RuntimeService as it is.
func (n *node) invoke(version, method string, message []byte) error {
	var answer []byte
	return n.cri.Conn.Invoke(n.ctx, "/"+version+".RuntimeService/"+method, message, &answer, grpc.ForceCodecV2(bytesCodec{}))
}

// containers counts what the runtime holds of a pod.
func (n *node) containers(pod *lab.Sandbox) int {
	filter := &runtime.ContainerFilter{PodSandboxId: pod.ID}
	list, err := n.direct.Runtime.ListContainers(n.ctx, &runtime.ListContainersRequest{Filter: filter})
	require.NoError(n.t, err)
	return len(list.GetContainers())
}

// bytesCodec sends and receives messages that are bytes already.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(message.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}
