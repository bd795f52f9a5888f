package proxy

import (
	"strings"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Images is told of images that a container may be about to run. It must not wait.
type Images interface {
	ImageSeen(imageID string)
}

// imageServices carry the observed methods, in both versions.
var imageServices = []string{"runtime.v1.ImageService/", "runtime.v1alpha2.ImageService/"}

// imageID reads the ID from the response of each observed method, "" when there is none.
var imageID = map[string]func(response []byte) string{
	"PullImage": func(raw []byte) string {
		var response cri.PullImageResponse
		if proto.Unmarshal(raw, &response) != nil {
			return ""
		}
		return response.GetImageRef()
	},
	"ImageStatus": func(raw []byte) string {
		var response cri.ImageStatusResponse
		if proto.Unmarshal(raw, &response) != nil {
			return ""
		}
		return response.GetImage().GetId()
	},
}

func observedMethod(method string) string {
	for _, service := range imageServices {
		if name, ok := strings.CutPrefix(strings.TrimPrefix(method, "/"), service); ok && imageID[name] != nil {
			return name
		}
	}
	return ""
}

// Observes says whether calls of method tell of an image: the kubelet pulls an image, or asks for it,
// right before it creates a container of it.
func (g *Guard) Observes(method string) bool { return observedMethod(method) != "" }

// Observed hands on which image a call was about. What cannot be read is of no consequence here: the
// container's own request is judged whatever happens before.
func (g *Guard) Observed(method string, _, response []byte) {
	if id := imageID[observedMethod(method)](response); id != "" {
		g.images.ImageSeen(id)
	}
}
