// Package proxy answers: which CRI calls can start a container, and what is in them?
//
// Guard recognises the guarded methods among all calls that pass through a data path, decodes those
// and shows them to a Gate. One file per method. It knows nothing of policies.
package proxy

import (
	"context"
	"runtime/debug"
	"strings"

	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/proxy/wire"
)

// Gate decides. An error ends the call and should carry a gRPC status; the returned function, when
// not nil, is told the ID that the runtime gave.
type Gate interface {
	CreateContainer(ctx context.Context, request *cri.CreateContainerRequest) (created func(containerID string), err error)
	StartContainer(ctx context.Context, request *cri.StartContainerRequest) error
	// StartContainerNow says whether StartContainer would let the container start without having to
	// wait, and counts as its call if so. It never waits.
	StartContainerNow(request *cri.StartContainerRequest) bool
	RunPodSandbox(ctx context.Context, request *cri.RunPodSandboxRequest) (ran func(sandboxID string), err error)
}

// Guard is the wire.Guard, wire.Observer and wire.Prompt of the Container Runtime Interface.
type Guard struct {
	gate   Gate
	images Images
	log    logrus.FieldLogger
}

var (
	_ wire.Guard    = (*Guard)(nil)
	_ wire.Observer = (*Guard)(nil)
	_ wire.Prompt   = (*Guard)(nil)
)

// NewGuard makes a guard that asks gate, and tells images which ones are about to be needed.
func NewGuard(gate Gate, images Images, log logrus.FieldLogger) *Guard {
	return &Guard{gate: gate, images: images, log: log}
}

type check func(g *Guard, ctx context.Context, request []byte) (answered func(response []byte), err error)

// services that carry the guarded methods. Messages of v1alpha2, which containerd 1.6 still serves,
// have the same fields; left out, it would be a way around the gate.
var services = []string{"runtime.v1.RuntimeService/", "runtime.v1alpha2.RuntimeService/"}

var methods = map[string]check{
	"CreateContainer": (*Guard).createContainer,
	"StartContainer":  (*Guard).startContainer,
	"RunPodSandbox":   (*Guard).runPodSandbox,
}

func lookup(method string) (check, bool) {
	c, ok := methods[nameOf(method)]
	return c, ok
}

// nameOf is the method's own name, "" when it is of no service that carries guarded methods.
func nameOf(method string) string {
	// Without the slash the name is not valid, but there are servers that take it.
	method = strings.TrimPrefix(method, "/")
	for _, service := range services {
		if name, ok := strings.CutPrefix(method, service); ok {
			return name
		}
	}
	return ""
}

// Guards says whether calls of method are shown to Check.
func (g *Guard) Guards(method string) bool {
	_, ok := lookup(method)
	return ok
}

// Check decodes the request and asks the gate. A request that cannot be decoded is refused: what we
// cannot read we cannot judge, and the runtime might read it after all.
func (g *Guard) Check(ctx context.Context, method string, request []byte) (answered func([]byte), err error) {
	c, ok := lookup(method)
	if !ok {
		return nil, status.Errorf(codes.Internal, "portcullis: %s is not a guarded method", method)
	}
	// One request that we cannot cope with must not take the node's only way to its runtime down with
	// it; nor may it pass unjudged.
	defer g.survive(method, func() {
		answered, err = nil, status.Errorf(codes.Internal, "portcullis: judging this %s failed; the node's portcullisd log says why", method)
	})
	learn, err := c(g, ctx, request)
	if learn == nil || err != nil {
		return nil, err
	}
	return func(response []byte) {
		defer g.survive(method, func() {})
		learn(response)
	}, nil
}

// CheckNow lets a container start at once if the gate needs only its memory to say so. Creating one
// takes a question to the runtime, which image its name stands for.
func (g *Guard) CheckNow(method string, request []byte) (_ func([]byte), ok bool) {
	if nameOf(method) != "StartContainer" {
		return nil, false
	}
	defer g.survive(method, func() { ok = false })
	return nil, g.startContainerNow(request)
}

// survive ends a panic, says so, and calls then. It must be deferred itself.
func (g *Guard) survive(method string, then func()) {
	if fault := recover(); fault != nil {
		g.log.WithFields(logrus.Fields{"method": method, "fault": fault, "stack": string(debug.Stack())}).Error("a call could not be coped with")
		then()
	}
}

func unreadable(method string, err error) error {
	return status.Errorf(codes.InvalidArgument, "portcullis: refused, because this %s request cannot be decoded: %v", method, err)
}
