package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"portcullis/e2e/lab"
)

// wanted is a container to start, as POST /containers takes it.
type wanted struct {
	Image        string   `json:"image"` // such as shop/cart
	Pod          string   `json:"pod"`
	Namespace    string   `json:"namespace"`
	Container    string   `json:"container"`
	Privileged   bool     `json:"privileged"`
	Capabilities []string `json:"capabilities"`
}

// pod is what one sandbox is kept by: the containers of a pod are of one pod.
type pod struct {
	namespace, name string
	privileged      bool
}

// refusal is what a kubelet would show, "" where the container was created.
type refusal struct {
	Message string `json:"message"`
}

// handler starts containers as a kubelet would, through portcullisd.
func (w *world) handler() http.Handler {
	mux := http.NewServeMux()
	var one sync.Mutex
	mux.HandleFunc("POST /containers", func(response http.ResponseWriter, r *http.Request) {
		var want wanted
		if err := json.NewDecoder(r.Body).Decode(&want); err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		one.Lock()
		defer one.Unlock()
		message, err := w.start(r.Context(), want)
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(response).Encode(refusal{Message: message}) // whoever asked is gone
	})
	return mux
}

// start creates a container, and removes it again where it was allowed.
func (w *world) start(ctx context.Context, want wanted) (refused string, err error) {
	image, known := w.images[want.Image]
	if !known {
		return "", fmt.Errorf("there is no image %q", want.Image)
	}
	sandbox, err := w.sandbox(ctx, pod{namespace: want.Namespace, name: want.Pod, privileged: want.Privileged})
	if err != nil {
		return "", err
	}
	id, err := w.cri.Create(ctx, sandbox, lab.Container{
		Name: want.Container, Image: image.id, Reference: image.reference, Privileged: want.Privileged, AddCapabilities: want.Capabilities,
	})
	if status.Code(err) == codes.PermissionDenied {
		return status.Convert(err).Message(), nil
	}
	if err != nil {
		return "", err
	}
	_, err = w.direct.Runtime.RemoveContainer(ctx, &runtime.RemoveContainerRequest{ContainerId: id})
	return "", err
}

func (w *world) sandbox(ctx context.Context, p pod) (*lab.Sandbox, error) {
	if running := w.pods[p]; running != nil {
		return running, nil
	}
	sandbox, err := w.cri.RunPod(ctx, lab.Pod{Name: p.name, Namespace: p.namespace, Privileged: p.privileged})
	if err == nil {
		w.pods[p] = sandbox
	}
	return sandbox, err
}
