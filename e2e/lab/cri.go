package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CRI is a client of a container runtime, or of the proxy before it: the part that the kubelet plays.
type CRI struct {
	Runtime runtime.RuntimeServiceClient
	Images  runtime.ImageServiceClient
	Conn    *grpc.ClientConn
}

// kubeletMessageLimit is how large a message the kubelet takes.
const kubeletMessageLimit = 16 << 20

// Dial makes a client of the runtime at a unix socket. It connects with the first call, and fast again.
func Dial(socket string) (*CRI, error) {
	return dial(socket, backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond})
}

// DialAsKubelet makes a client that connects, waits and gives up as the kubelet's does.
func DialAsKubelet(socket string) (*CRI, error) {
	config := backoff.DefaultConfig
	config.BaseDelay, config.MaxDelay = 100*time.Millisecond, 3*time.Second
	return dial(socket, config)
}

func dial(socket string, backOff backoff.Config) (*CRI, error) {
	conn, err := grpc.NewClient("unix:"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(kubeletMessageLimit)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backOff, MinConnectTimeout: 5 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", socket, err)
	}
	return &CRI{
		Runtime: runtime.NewRuntimeServiceClient(conn),
		Images:  runtime.NewImageServiceClient(conn),
		Conn:    conn,
	}, nil
}

// Close ends the client.
func (c *CRI) Close() error { return c.Conn.Close() }

// Pull fetches an image and returns its ID.
func (c *CRI) Pull(ctx context.Context, reference string) (string, error) {
	image := &runtime.ImageSpec{Image: reference}
	if _, err := c.Images.PullImage(ctx, &runtime.PullImageRequest{Image: image}); err != nil {
		return "", fmt.Errorf("pulling %s: %w", reference, err)
	}
	status, err := c.Images.ImageStatus(ctx, &runtime.ImageStatusRequest{Image: image})
	if err != nil {
		return "", fmt.Errorf("status of image %s: %w", reference, err)
	}
	return status.GetImage().GetId(), nil
}

// Pod says what the sandbox of a pod asks for.
type Pod struct {
	Name        string
	Namespace   string // "default" when empty
	Privileged  bool
	HostNetwork bool
}

// Sandbox is a pod that runs, without containers at first.
type Sandbox struct {
	ID     string
	Config *runtime.PodSandboxConfig
}

// RunPod starts the sandbox of a pod.
func (c *CRI) RunPod(ctx context.Context, pod Pod) (*Sandbox, error) {
	if pod.Namespace == "" {
		pod.Namespace = "default"
	}
	network := runtime.NamespaceMode_POD
	if pod.HostNetwork {
		network = runtime.NamespaceMode_NODE
	}
	uid := randomHex()
	logs, err := Dir(filepath.Join("pod-logs", uid))
	if err != nil {
		return nil, err
	}
	config := &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: uid},
		Labels:       podLabels(pod.Name, pod.Namespace, uid),
		LogDirectory: logs,
		Linux: &runtime.LinuxPodSandboxConfig{
			CgroupParent: cgroupParent(),
			SecurityContext: &runtime.LinuxSandboxSecurityContext{
				Privileged:       pod.Privileged,
				NamespaceOptions: &runtime.NamespaceOption{Network: network},
			},
		},
	}
	response, err := c.Runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: config})
	if err != nil {
		return nil, fmt.Errorf("running pod %s: %w", pod.Name, err)
	}
	return &Sandbox{ID: response.GetPodSandboxId(), Config: config}, nil
}

func podLabels(name, namespace, uid string) map[string]string {
	return map[string]string{
		"io.kubernetes.pod.name":      name,
		"io.kubernetes.pod.namespace": namespace,
		"io.kubernetes.pod.uid":       uid,
	}
}

// Container says what a container asks for.
type Container struct {
	Name            string
	Image           string   // as it stands in the request: the kubelet sends the image ID
	Reference       string   // the text that the pod's author wrote; Image when empty
	Arguments       []string // of the payload; the image's when empty
	Env             map[string][]byte
	Annotations     map[string]string
	Privileged      bool
	AddCapabilities []string
	ImageVolume     string // image to mount at /volume, "" for none
	HostPath        string // file or folder of the node to mount at /host, "" for none
}

// CreateRequest is the request that the kubelet would send for container.
func (s *Sandbox) CreateRequest(container Container) *runtime.CreateContainerRequest {
	if container.Reference == "" {
		container.Reference = container.Image
	}
	labels := podLabels(s.Config.GetMetadata().GetName(), s.Config.GetMetadata().GetNamespace(), s.Config.GetMetadata().GetUid())
	labels["io.kubernetes.container.name"] = container.Name
	var env []*runtime.KeyValue
	for key, value := range container.Env {
		env = append(env, &runtime.KeyValue{Key: key, Value: value})
	}
	var mounts []*runtime.Mount
	if container.ImageVolume != "" {
		volume := &runtime.ImageSpec{Image: container.ImageVolume}
		mounts = append(mounts, &runtime.Mount{ContainerPath: "/volume", Image: volume, Readonly: true})
	}
	if container.HostPath != "" {
		mounts = append(mounts, &runtime.Mount{ContainerPath: "/host", HostPath: container.HostPath, Readonly: true})
	}
	return &runtime.CreateContainerRequest{
		PodSandboxId:  s.ID,
		SandboxConfig: s.Config,
		Config: &runtime.ContainerConfig{
			Metadata:    &runtime.ContainerMetadata{Name: container.Name},
			Image:       &runtime.ImageSpec{Image: container.Image, UserSpecifiedImage: container.Reference},
			Args:        container.Arguments,
			Envs:        env,
			Mounts:      mounts,
			Labels:      labels,
			Annotations: container.Annotations,
			LogPath:     container.Name + ".log",
			Linux: &runtime.LinuxContainerConfig{SecurityContext: &runtime.LinuxContainerSecurityContext{
				Privileged:   container.Privileged,
				Capabilities: &runtime.Capability{AddCapabilities: container.AddCapabilities},
			}},
		},
	}
}

// Create makes a container and returns its ID. The error is the runtime's own, a gRPC status.
func (c *CRI) Create(ctx context.Context, sandbox *Sandbox, container Container) (string, error) {
	response, err := c.Runtime.CreateContainer(ctx, sandbox.CreateRequest(container))
	return response.GetContainerId(), err
}

// Start starts a container. The error is the runtime's own, a gRPC status.
func (c *CRI) Start(ctx context.Context, id string) error {
	_, err := c.Runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: id})
	return err
}

// Run creates and starts a container that prints something and waits for its end. The error of a
// refusal is a gRPC status.
func (c *CRI) Run(ctx context.Context, sandbox *Sandbox, container Container) (output string, err error) {
	id, err := c.Create(ctx, sandbox, container)
	if err != nil {
		return "", err
	}
	if err := c.Start(ctx, id); err != nil {
		return "", err
	}
	status, err := c.Wait(ctx, id)
	if err != nil {
		return "", err
	}
	if status.GetExitCode() == 0 {
		return sandbox.awaitOutput(ctx, container.Name)
	}
	output, err = sandbox.Output(container.Name)
	return output, errors.Join(fmt.Errorf("container %s exited with %d: %s", container.Name, status.GetExitCode(), output), err)
}

// Wait waits until a container has exited.
func (c *CRI) Wait(ctx context.Context, id string) (*runtime.ContainerStatus, error) {
	// containerd 1.6 has no GetContainerEvents, so there is nothing to wait on.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := c.Runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return nil, fmt.Errorf("waiting for container %s: %w", id, err)
		}
		if response.GetStatus().GetState() == runtime.ContainerState_CONTAINER_EXITED {
			return response.GetStatus(), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for container %s: %w", id, ctx.Err())
		case <-tick.C:
		}
	}
}

// awaitOutput waits until a container has printed something: containerd writes the log on its own time,
// also after the container has exited.
func (s *Sandbox) awaitOutput(ctx context.Context, container string) (string, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		output, err := s.Output(container)
		if err != nil || output != "" {
			return output, err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for output of container %s: %w", container, ctx.Err())
		case <-tick.C:
		}
	}
}

// Output returns what a container has printed, without the log's own columns.
func (s *Sandbox) Output(container string) (string, error) {
	log, err := os.ReadFile(filepath.Join(s.Config.GetLogDirectory(), container+".log"))
	if err != nil {
		return "", fmt.Errorf("output of container %s: %w", container, err)
	}
	var output strings.Builder
	for line := range strings.Lines(string(log)) {
		// "2026-01-02T03:04:05.6Z stdout F text"
		if columns := strings.SplitN(line, " ", 4); len(columns) == 4 {
			output.WriteString(columns[3])
		}
	}
	return output.String(), nil
}

// RemovePod ends a pod with all its containers.
func (c *CRI) RemovePod(ctx context.Context, id string) error {
	if _, err := c.Runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("stopping pod %s: %w", id, err)
	}
	if _, err := c.Runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("removing pod %s: %w", id, err)
	}
	return nil
}

// RemovePods ends every pod of the runtime.
func (c *CRI) RemovePods(ctx context.Context) error {
	pods, err := c.Runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	var failed error
	for _, pod := range pods.GetItems() {
		failed = errors.Join(failed, c.RemovePod(ctx, pod.GetId()))
	}
	return failed
}
