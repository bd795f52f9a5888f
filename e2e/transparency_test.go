package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

func TestAnswersAreTheRuntimesOwn(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		id, reference := n.image("clean")
		pod := n.pod(lab.Pod{Name: "shop"})
		n.runs(pod, lab.Container{Name: "ended", Image: id, Reference: reference})
		running := n.create(pod, lab.Container{Name: "running", Image: id, Reference: reference, Arguments: []string{"pause"}})
		require.NoError(n.t, n.cri.Start(n.ctx, running))

		for name, call := range map[string]func(*lab.CRI) (proto.Message, error){
			"Version": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.Version(n.ctx, &runtime.VersionRequest{Version: "v1"})
			},
			"Status": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.Status(n.ctx, &runtime.StatusRequest{Verbose: true})
			},
			"RuntimeConfig": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.RuntimeConfig(n.ctx, &runtime.RuntimeConfigRequest{})
			},
			"ListPodSandbox": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.ListPodSandbox(n.ctx, &runtime.ListPodSandboxRequest{Filter: &runtime.PodSandboxFilter{Id: pod.ID}})
			},
			"PodSandboxStatus": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.PodSandboxStatus(n.ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: pod.ID, Verbose: true})
			},
			"ListContainers": func(c *lab.CRI) (proto.Message, error) {
				filter := &runtime.ContainerFilter{PodSandboxId: pod.ID, Id: running}
				return c.Runtime.ListContainers(n.ctx, &runtime.ListContainersRequest{Filter: filter})
			},
			"ContainerStatus": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.ContainerStatus(n.ctx, &runtime.ContainerStatusRequest{ContainerId: running, Verbose: true})
			},
			"ImageStatus": func(c *lab.CRI) (proto.Message, error) {
				return c.Images.ImageStatus(n.ctx, &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: reference}, Verbose: true})
			},
			"ListImages": func(c *lab.CRI) (proto.Message, error) { // newer containerds do not look at the filter
				list, err := c.Images.ListImages(n.ctx, &runtime.ListImagesRequest{})
				i := slices.IndexFunc(list.GetImages(), func(image *runtime.Image) bool { return image.GetId() == id })
				require.NotEqual(n.t, -1, i)
				return list.GetImages()[i], err
			},
			"PullImage": func(c *lab.CRI) (proto.Message, error) {
				return c.Images.PullImage(n.ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: reference}})
			},
			"PullImage, unknown": func(c *lab.CRI) (proto.Message, error) {
				unknown := &runtime.ImageSpec{Image: world.registry.Address + "/unknown:v1"}
				return c.Images.PullImage(n.ctx, &runtime.PullImageRequest{Image: unknown})
			},
			"ExecSync": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.ExecSync(n.ctx, &runtime.ExecSyncRequest{
					ContainerId: running, Cmd: []string{lab.Payload, "print", "from", "inside"}, Timeout: 10,
				})
			},
			"ExecSync, failing": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.ExecSync(n.ctx, &runtime.ExecSyncRequest{
					ContainerId: running, Cmd: []string{lab.Payload, "exit", "3"}, Timeout: 10,
				})
			},
			"StartContainer, unknown": func(c *lab.CRI) (proto.Message, error) {
				return c.Runtime.StartContainer(n.ctx, &runtime.StartContainerRequest{ContainerId: "unknown"})
			},
			"a method of no version": func(c *lab.CRI) (proto.Message, error) {
				answer := &runtime.VersionResponse{}
				return answer, c.Conn.Invoke(n.ctx, "/runtime.v9.RuntimeService/Fly", &runtime.VersionRequest{}, answer)
			},
		} {
			n.same(name, call)
		}
	})
}

// same expects call to give the same through portcullisd and past it.
func (n *node) same(name string, call func(*lab.CRI) (proto.Message, error)) {
	n.t.Helper()
	want, wantErr := call(n.direct)
	got, err := call(n.cri)
	require.Equal(n.t, status.Convert(wantErr).String(), status.Convert(err).String(), name)
	if wantErr == nil {
		require.True(n.t, proto.Equal(want, got), "%s:\nwant %v\ngot  %v", name, want, got)
	}
}

func TestContainerEventsArriveAsTheRuntimeSendsThem(t *testing.T) {
	onEachRuntime(t, noCriticals, func(n *node) {
		ctx, cancel := context.WithCancel(n.ctx)
		defer cancel()
		proxied, direct := follow(ctx, n.cri), follow(ctx, n.direct)
		if n.containerd.Flavour.Name == "containerd-1.6" { // has no such method yet
			want, got := <-direct, <-proxied
			require.Equal(n.t, codes.Unimplemented, status.Code(want.err))
			require.Equal(n.t, want.err.Error(), got.err.Error())
			return
		}
		id, _ := n.image("clean")
		pod := n.pod(lab.Pod{Name: "shop"})
		// Nothing says when a stream has begun, so the first containers may pass unseen.
		require.Eventually(n.t, func() bool {
			container := n.create(pod, lab.Container{Name: "web", Image: id})
			require.NoError(n.t, n.cri.Start(n.ctx, container))
			_, err := n.cri.Wait(n.ctx, container)
			require.NoError(n.t, err)
			_, err = n.cri.Runtime.RemoveContainer(n.ctx, &runtime.RemoveContainerRequest{ContainerId: container})
			require.NoError(n.t, err)
			want, got := until(direct, container), until(proxied, container)
			if len(want) != len(got) || len(want) < 2 {
				return false
			}
			for i := range want {
				require.True(n.t, proto.Equal(want[i], got[i]), "want %v\ngot  %v", want[i], got[i])
			}
			return true
		}, patience, 20*time.Millisecond)

		cancel()
		for received := range proxied {
			if received.err != nil {
				require.Equal(n.t, codes.Canceled, status.Code(received.err))
			}
		}
	})
}

type received struct {
	event *runtime.ContainerEventResponse
	err   error // ends the stream
}

func follow(ctx context.Context, c *lab.CRI) <-chan received {
	events := make(chan received, 1000)
	go func() {
		defer close(events)
		stream, err := c.Runtime.GetContainerEvents(ctx, &runtime.GetEventsRequest{})
		for err == nil {
			var event *runtime.ContainerEventResponse
			if event, err = stream.Recv(); err == nil {
				events <- received{event: event}
			}
		}
		events <- received{err: err}
	}()
	return events
}

// until returns the events about a container up to its deletion, or what came within a second.
func until(events <-chan received, container string) []*runtime.ContainerEventResponse {
	var about []*runtime.ContainerEventResponse
	for timeout := time.After(time.Second); ; {
		select {
		case received, ok := <-events:
			if !ok || received.err != nil {
				return about
			}
			if received.event.GetContainerId() != container {
				continue
			}
			about = append(about, received.event)
			if received.event.GetContainerEventType() == runtime.ContainerEventType_CONTAINER_DELETED_EVENT {
				return about
			}
		case <-timeout:
			return about
		}
	}
}
