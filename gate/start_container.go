package gate

import (
	"context"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/policy"
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

// StartContainerNow does what StartContainer does, if that is to let the container start and everything
// it takes is in memory. Otherwise it does nothing and returns false. An Alert or a Block is not for it:
// recording them may take a disk, and so may a log that tells everything.
func (g *Gate) StartContainerNow(request *cri.StartContainerRequest) bool {
	began, at := time.Now(), g.options.Now()
	s, _ := g.containers.Get(request.GetContainerId())
	if s == nil || s.config != nil || g.talkative() {
		return false
	}
	d := g.recall(s, at)
	if d == nil || d.Action != policy.Allow {
		return false
	}
	g.options.Decided(startContainer, d, time.Since(began))
	s.alerted.Store(nil)
	g.options.Started(at, &s.container)
	g.containers.Remove(request.GetContainerId())
	return true
}
