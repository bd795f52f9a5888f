package gate

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// CreateContainer decides before the runtime hears of the container. What the runtime does not know
// (a sandbox, an image) is left to it to refuse in its own words; should it create the container
// after all, StartContainer judges it by what the runtime then says.
func (g *Gate) CreateContainer(ctx context.Context, request *cri.CreateContainerRequest) (func(containerID string), error) {
	reference := request.GetConfig().GetImage().GetImage()
	switch {
	case reference == "":
		return nil, status.Error(codes.InvalidArgument, "portcullis: CreateContainer names no image; set config.image.image")
	case strings.HasPrefix(reference, "/"), strings.HasPrefix(reference, "."):
		// containerd may take a path here as a checkpoint to restore, which no scanner has seen.
		return nil, status.Error(codes.PermissionDenied, "portcullis: config.image.image is a file path; restoring a checkpoint from a path is not allowed, name an image")
	}
	sandbox, err := g.sandbox(ctx, request.GetPodSandboxId())
	if err != nil {
		return nil, unlessNotFound(err)
	}
	s, err := g.subject(ctx, sandbox, request.GetConfig())
	if err != nil {
		return nil, unlessNotFound(err)
	}
	s.sandboxID = request.GetPodSandboxId()
	if err := g.judge(ctx, createContainer, s); err != nil {
		return nil, err
	}
	return func(containerID string) { g.containers.Add(containerID, s) }, nil
}

// unlessNotFound drops the runtime's own NotFound, so that the call goes on and the client hears it
// from the runtime in answer to its own request.
func unlessNotFound(err error) error {
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}
