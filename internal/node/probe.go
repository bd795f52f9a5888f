package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/gate"
	"portcullis/proxy"
)

// probe lets the daemon find out whether it does its work: a call of its own goes the way of every
// guarded call, up to the gate, and ends there. The runtime, which may be away, has no part in it.
type probe struct {
	*proxy.Guard
	gate  *gate.Gate
	token string // that only we know: nobody else's call is taken for ours
}

func newProbe(guard *proxy.Guard, judge *gate.Gate) *probe {
	return &probe{Guard: guard, gate: judge, token: "portcullis-probe-" + rand.Text()}
}

// Check answers the daemon's own call, and has the guard check all others.
func (p *probe) Check(ctx context.Context, method string, request []byte) (func([]byte), error) {
	if bytes.Contains(request, []byte(p.token)) {
		p.gate.Probe()
		return nil, status.Error(codes.Aborted, "portcullis decides")
	}
	return p.Guard.Check(ctx, method, request)
}

// Probe makes sure that the daemon takes connections on its socket, carries calls and decides.
func (n *Node) Probe(ctx context.Context) error {
	connection, err := grpc.NewClient("unix:"+n.config.Listen, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer connection.Close()
	var answered peer.Peer
	began := time.Now()
	_, err = cri.NewRuntimeServiceClient(connection).StartContainer(ctx, &cri.StartContainerRequest{ContainerId: n.probe.token}, grpc.Peer(&answered))
	switch code := status.Code(err); {
	case code == codes.Aborted:
		return nil
	case code == codes.Unavailable && answered.Addr != nil:
		n.probe.gate.Probe() // the call got as far as the data path, which has no runtime to offer
		return nil
	}
	return fmt.Errorf("no answer on %s after %s: %w", n.config.Listen, time.Since(began).Round(time.Millisecond), err)
}
