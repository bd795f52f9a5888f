package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
	"portcullis/policy/privilege"
)

// subject gathers the facts on a container from what it was, or is to be, created with.
func (g *Gate) subject(ctx context.Context, sandbox *cri.PodSandboxConfig, config *cri.ContainerConfig) (*subject, error) {
	image, err := g.image(ctx, config.GetImage())
	if err != nil {
		return nil, err
	}
	s := &subject{container: policy.Container{
		Cluster:   g.options.Cluster,
		Namespace: sandbox.GetMetadata().GetNamespace(),
		Pod:       sandbox.GetMetadata().GetName(),
		PodUID:    sandbox.GetMetadata().GetUid(),
		Name:      config.GetMetadata().GetName(),
		Image:     image,
		Asks:      privilege.Asks(sandbox, config, g.options.Host),
	}}
	bound := image.ID == prefixed(config.GetImage().GetImage()) && !slices.ContainsFunc(s.container.Asks, fromHost)
	for _, mount := range config.GetMounts() {
		if mount.GetImage() == nil {
			continue
		}
		volume, err := g.image(ctx, mount.GetImage())
		if err != nil {
			return nil, err
		}
		s.volumes = append(s.volumes, volume)
		bound = bound && volume.ID == prefixed(mount.GetImage().GetImage())
	}
	if !bound {
		s.config = config
	}
	return s, nil
}

// fromHost says whether the ask is for a path of the node, which may be a link that changes its target.
func fromHost(a policy.Ask) bool { return a.Parameter == "host-path" }

// image resolves a reference to what the runtime holds under it. An image that the runtime does not
// have is a NotFound.
func (g *Gate) image(ctx context.Context, spec *cri.ImageSpec) (policy.Image, error) {
	answer, err := g.runtime.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: spec.GetImage(), RuntimeHandler: spec.GetRuntimeHandler()}})
	if err != nil {
		return policy.Image{}, err
	}
	found := answer.GetImage()
	if found.GetId() == "" {
		return policy.Image{}, status.Errorf(codes.NotFound, "image %q", spec.GetImage())
	}
	requested := spec.GetUserSpecifiedImage()
	if requested == "" {
		requested = spec.GetImage()
	}
	return policy.Image{ID: prefixed(found.GetId()), Tags: found.GetRepoTags(), Digests: found.GetRepoDigests(), Requested: requested}, nil
}

// bareID is how CRI-O writes an image ID.
var bareID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// prefixed writes an image ID in the one form that verdicts and policies use.
func prefixed(id string) string {
	if bareID.MatchString(id) {
		return "sha256:" + id
	}
	return id
}

// sandbox returns what the sandbox was asked to be, from memory or from the runtime. The copy that
// CreateContainer carries is the client's word only and is not used.
func (g *Gate) sandbox(ctx context.Context, id string) (*cri.PodSandboxConfig, error) {
	if config, ok := g.sandboxes.Get(id); ok {
		return config, nil
	}
	answer, err := g.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	if err != nil {
		return nil, err
	}
	var info struct {
		Config *cri.PodSandboxConfig `json:"config"`
	}
	if err := decodeInfo(answer.GetInfo(), &info); err != nil || info.Config == nil {
		// Refusing would keep a crashed container of a running pod from ever coming back.
		g.options.Log.WithError(err).WithField("sandbox", id).Warn("the runtime does not say how this sandbox was configured; its host ports, sysctls and privileges are not known")
		info.Config = fromStatus(answer.GetStatus())
	}
	config := facts(info.Config)
	g.sandboxes.Add(answer.GetStatus().GetId(), config)
	return config, nil
}

// facts keeps of a sandbox's configuration what decisions rest on: pods may carry much else, and
// thousands of them are remembered.
func facts(config *cri.PodSandboxConfig) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{Metadata: config.GetMetadata(), PortMappings: config.GetPortMappings(), Linux: config.GetLinux()}
}

// fromStatus is what the plain status of a sandbox tells of its configuration.
func fromStatus(now *cri.PodSandboxStatus) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata: now.GetMetadata(),
		Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: now.GetLinux().GetNamespaces().GetOptions(),
		}},
	}
}

// inspect gathers the facts on a container that exists, from what the runtime has made of it. known is
// what is remembered of it, or nil; it stands in for a configuration that the runtime does not tell.
func (g *Gate) inspect(ctx context.Context, id string, known *subject) (*subject, error) {
	answer, err := g.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return nil, err
	}
	var info containerInfo
	err = decodeInfo(answer.GetInfo(), &info)
	if info.Config == nil && known != nil {
		info.Config = proto.CloneOf(known.config)
	}
	if info.Config == nil || info.SandboxID == "" {
		return nil, status.Errorf(codes.FailedPrecondition, "portcullis: the runtime does not say how container %s was configured, so it cannot be judged; recreate the container (%v)", id, err)
	}
	sandbox, err := g.sandbox(ctx, info.SandboxID)
	if err != nil {
		return nil, unlessGone(err, "sandbox", id)
	}
	info.Config.Image = running(answer.GetStatus(), info.Config.GetImage())
	info.Config.Mounts = append(info.Config.Mounts, info.resolved()...)
	s, err := g.subject(ctx, sandbox, info.Config)
	if err != nil {
		return nil, unlessGone(err, "image", id)
	}
	s.sandboxID = info.SandboxID
	if known != nil {
		s.alerted.Store(known.alerted.Load())
	}
	return s, nil
}

// containerInfo is what runtimes tell of a container in its verbose status.
type containerInfo struct {
	SandboxID   string               `json:"sandboxID"`
	Config      *cri.ContainerConfig `json:"config"`
	RuntimeSpec struct {
		Mounts []struct {
			Destination string `json:"destination"`
			Source      string `json:"source"`
		} `json:"mounts"`
	} `json:"runtimeSpec"`
}

// resolved returns the mounts that were asked for as the runtime has resolved them: what a link in a
// host path points at now says nothing of what it pointed at then.
func (i *containerInfo) resolved() []*cri.Mount {
	var mounts []*cri.Mount
	for _, asked := range i.Config.GetMounts() {
		for _, made := range i.RuntimeSpec.Mounts {
			if asked.GetHostPath() == "" || made.Source == asked.GetHostPath() || path.Clean(made.Destination) != path.Clean(asked.GetContainerPath()) {
				continue
			}
			mounts = append(mounts, &cri.Mount{
				ContainerPath: asked.GetContainerPath(), HostPath: made.Source,
				Readonly: asked.GetReadonly(), Propagation: asked.GetPropagation(),
			})
		}
	}
	return mounts
}

// unlessGone turns NotFound, about something that a container which exists depends on, into a refusal.
// The runtime would start the container all the same: it has a snapshot of the image.
func unlessGone(err error, what, containerID string) error {
	if status.Code(err) == codes.NotFound {
		return status.Errorf(codes.FailedPrecondition, "portcullis: the %s of container %s is gone, so it cannot be judged; recreate the container", what, containerID)
	}
	return err
}

// running is the image that a container runs, by the runtime's word and not by what was asked for.
// Runtimes before containerd 2 give no ID but a digest, which names the same image for ever, and have
// not kept the pod's own text.
func running(now *cri.ContainerStatus, requested *cri.ImageSpec) *cri.ImageSpec {
	spec := &cri.ImageSpec{Image: now.GetImageId(), UserSpecifiedImage: requested.GetUserSpecifiedImage(), RuntimeHandler: requested.GetRuntimeHandler()}
	if spec.Image == "" {
		spec.Image = now.GetImageRef()
	}
	if spec.UserSpecifiedImage == "" {
		spec.UserSpecifiedImage = now.GetImage().GetImage()
	}
	return spec
}

// decodeInfo reads the JSON that runtimes put under "info" in a verbose status.
func decodeInfo(info map[string]string, into any) error {
	text, ok := info["info"]
	if !ok {
		return fmt.Errorf("no info in its verbose status")
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("info in its verbose status: %w", err)
	}
	return nil
}
