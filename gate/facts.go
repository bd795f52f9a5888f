package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
	"portcullis/policy/privilege"
)

// subject gathers the facts on a container about to be created. It is bound when the request named
// the image by the very ID that was resolved: then the runtime cannot run another image than the one
// judged, while a name may be moved to another image in between.
func (g *Gate) subject(ctx context.Context, sandbox *cri.PodSandboxConfig, config *cri.ContainerConfig) (s *subject, bound bool, err error) {
	spec := config.GetImage()
	image, err := g.image(ctx, spec)
	if err != nil {
		return nil, false, err
	}
	s = &subject{container: policy.Container{
		Cluster:   g.options.Cluster,
		Namespace: sandbox.GetMetadata().GetNamespace(),
		Pod:       sandbox.GetMetadata().GetName(),
		PodUID:    sandbox.GetMetadata().GetUid(),
		Name:      config.GetMetadata().GetName(),
		Image:     image,
		Asks:      privilege.Asks(sandbox, config, g.options.Host),
	}}
	bound = image.ID == prefixed(spec.GetImage())
	for _, mount := range config.GetMounts() {
		if mount.GetImage() == nil {
			continue
		}
		volume, err := g.image(ctx, mount.GetImage())
		if err != nil {
			return nil, false, err
		}
		s.volumes = append(s.volumes, volume)
		bound = bound && volume.ID == prefixed(mount.GetImage().GetImage())
	}
	return s, bound, nil
}

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
		return nil, status.Errorf(codes.FailedPrecondition, "portcullis: the runtime does not say how sandbox %s was configured, so its containers cannot be judged; recreate the pod (%v)", id, err)
	}
	g.sandboxes.Add(answer.GetStatus().GetId(), info.Config)
	return info.Config, nil
}

// inspect gathers the facts on a container that exists, from the runtime alone.
func (g *Gate) inspect(ctx context.Context, id string) (*subject, error) {
	answer, err := g.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return nil, err
	}
	var info struct {
		SandboxID string               `json:"sandboxID"`
		Config    *cri.ContainerConfig `json:"config"`
	}
	if err := decodeInfo(answer.GetInfo(), &info); err != nil || info.Config == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "portcullis: the runtime does not say how container %s was configured, so it cannot be judged; recreate the container (%v)", id, err)
	}
	sandbox, err := g.sandbox(ctx, info.SandboxID)
	if err != nil {
		return nil, unlessGone(err, "sandbox", id)
	}
	info.Config.Image = running(answer.GetStatus(), info.Config.GetImage())
	s, _, err := g.subject(ctx, sandbox, info.Config)
	return s, unlessGone(err, "image", id)
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
