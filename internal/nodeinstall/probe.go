package nodeinstall

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/internal/unixpeers"
)

// LiveProbe looks at this machine.
type LiveProbe struct{}

const probePatience = 5 * time.Second

// Runtime asks what answers at a CRI socket.
func (p LiveProbe) Runtime(ctx context.Context, socket string) (Runtime, error) {
	return p.RuntimeWhile(ctx, socket, func() {})
}

// RuntimeWhile does the same, and calls connected while the connection is open.
func (LiveProbe) RuntimeWhile(ctx context.Context, socket string, connected func()) (Runtime, error) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return Runtime{}, err
	}
	defer func() { _ = connection.Close() }() // the answer is there
	answer, err := cri.NewRuntimeServiceClient(connection).Version(ctx, &cri.VersionRequest{})
	connected()
	if err != nil {
		return Runtime{}, fmt.Errorf("%s", status.Convert(err).Message())
	}
	return Runtime{Name: answer.GetRuntimeName(), Version: answer.GetRuntimeVersion()}, nil
}

// Kubelet asks the kubelet for its health.
func (LiveProbe) Kubelet(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("its /healthz cannot be asked: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("its /healthz says %s: %s", response.Status, bytes.TrimSpace(text))
	}
	return nil
}

// Clients returns the processes connected to a socket.
func (LiveProbe) Clients(socket string) ([]unixpeers.Process, error) {
	clients, _, err := unixpeers.Of(socket)
	return clients, err
}
