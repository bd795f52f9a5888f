package gate

import (
	"context"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// StartContainer decides again: policies and verdicts may have changed since the container was
// created, and a container that was created by name, around this proxy, or before it was restarted is
// judged by what the runtime says of it.
func (g *Gate) StartContainer(ctx context.Context, request *cri.StartContainerRequest) error {
	id := request.GetContainerId()
	s, ok := g.containers.Get(id)
	if !ok {
		var err error
		if s, err = g.inspect(ctx, id); err != nil {
			return unlessNotFound(err)
		}
	}
	return g.judge(ctx, startContainer, s)
}
