package gate

import (
	"context"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// StartContainer decides again: policies and verdicts may have changed since the container was
// created, and a container whose request was not bound to what the runtime would make of it, or that was
// created around this proxy or before it was restarted, is judged by what the runtime says of it.
func (g *Gate) StartContainer(ctx context.Context, request *cri.StartContainerRequest) error {
	id := request.GetContainerId()
	s, _ := g.containers.Get(id)
	if s == nil || s.config != nil {
		seen, err := g.inspect(ctx, id, s)
		if err != nil {
			return unlessNotFound(err)
		}
		s = seen
	}
	if err := g.judge(ctx, startContainer, s); err != nil {
		return err
	}
	g.containers.Remove(id) // a container starts once; what would start it again is looked at anew
	return nil
}
