package image_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/image/containerdtest"
	"portcullis/cmd/portcullis-scan/image/imagetest"
)

func TestImagesOfARealContainerd(t *testing.T) {
	containerdtest.Each(t, func(t *testing.T, containerd containerdtest.Containerd) {
		open := func(reference string) *image.Image {
			got, err := image.Containerd(ctx, containerd.Socket, "k8s.io", reference, imagetest.Platform)
			require.NoError(t, err)
			return got
		}
		want := sample(t)
		id := imagetest.ID(t, want)
		containerd.Ctr("images", "import", imagetest.Save(t, want))
		requireSample(t, want, open("docker.io/test/image:1"))
		requireSample(t, want, open("test/image:1"))
		_, err := image.Containerd(ctx, containerd.Socket, "default", "test/image:1", imagetest.Platform)
		require.ErrorContains(t, err, "not in namespace default; see ctr -n default images ls")

		containerd.Ctr("images", "tag", "docker.io/test/image:1", id) // as the CRI plugin does
		requireSample(t, want, open(id))
		requireSample(t, want, open(strings.TrimPrefix(id, "sha256:")))

		layers, err := want.Layers()
		require.NoError(t, err)
		digest, err := layers[1].Digest()
		require.NoError(t, err)
		got := open("test/image:1")
		defer got.Close()
		containerd.Ctr("content", "rm", digest.String())
		_, err = got.Layers[1].Open(ctx, nil)
		require.ErrorContains(t, err, "no longer in the runtime")
	})
}

func TestARuntimeThatIsNotThereOrNotContainerdIsAnError(t *testing.T) {
	_, err := image.Containerd(ctx, filepath.Join(t.TempDir(), "no.sock"), "k8s.io", "a:1", imagetest.Platform)
	require.ErrorContains(t, err, "no such file")

	dir, err := os.MkdirTemp("", "crio-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "crio.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := grpc.NewServer()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	defer func() { server.Stop(); <-done }()
	_, err = image.Containerd(ctx, socket, "k8s.io", "a:1", imagetest.Platform)
	require.ErrorContains(t, err, "not containerd")
}
