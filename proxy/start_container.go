package proxy

import (
	"context"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (g *Guard) startContainer(ctx context.Context, raw []byte) (func([]byte), error) {
	request := &cri.StartContainerRequest{}
	if err := proto.Unmarshal(raw, request); err != nil {
		return nil, unreadable("StartContainer", err)
	}
	return nil, g.gate.StartContainer(ctx, request)
}
