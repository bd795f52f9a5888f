package proxy

import (
	"context"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (g *Guard) runPodSandbox(ctx context.Context, raw []byte) (func([]byte), error) {
	request := &cri.RunPodSandboxRequest{}
	if err := proto.Unmarshal(raw, request); err != nil {
		return nil, unreadable("RunPodSandbox", err)
	}
	ran, err := g.gate.RunPodSandbox(ctx, request)
	if ran == nil || err != nil {
		return nil, err
	}
	return func(raw []byte) {
		var response cri.RunPodSandboxResponse
		if err := proto.Unmarshal(raw, &response); err != nil {
			g.log.WithError(err).Warn("cannot decode the runtime's RunPodSandbox response; CreateContainer will ask the runtime for the facts")
			return
		}
		ran(response.GetPodSandboxId())
	}, nil
}
