package gate

import (
	"context"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunPodSandbox lets the sandbox pass and remembers what it was asked to be: whose pod it is and
// which privileges every container in it will share.
func (g *Gate) RunPodSandbox(_ context.Context, request *cri.RunPodSandboxRequest) (func(sandboxID string), error) {
	config := facts(request.GetConfig())
	return func(sandboxID string) { g.sandboxes.Add(sandboxID, config) }, nil
}
