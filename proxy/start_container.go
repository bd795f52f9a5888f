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

// plainStart is more than a request takes that holds nothing but a container's ID, in bytes.
const plainStart = 1 << 10

func (g *Guard) startContainerNow(raw []byte) bool {
	request := &cri.StartContainerRequest{}
	return len(raw) <= plainStart && proto.Unmarshal(raw, request) == nil && g.gate.StartContainerNow(request)
}
