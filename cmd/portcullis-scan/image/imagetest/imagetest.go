// Package imagetest answers: how does a test get an image with just these files?
package imagetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"portcullis/cmd/portcullis-scan/image"
)

// Platform is that of all images made here.
var Platform = v1.Platform{OS: "linux", Architecture: "amd64"}

// Entry is one entry of a layer.
type Entry struct {
	tar.Header
	Content string
}

// File is a regular file.
func File(name, content string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

// Program is an executable file.
func Program(name, content string) Entry {
	e := File(name, content)
	e.Mode = 0o755
	return e
}

// Dir is a folder.
func Dir(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}}
}

// Symlink is a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}}
}

// Link is a hard link.
func Link(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}

// Whiteout says that a file of the layers below is gone.
func Whiteout(name string) Entry {
	dir, base := filepath.Split(name)
	return File(dir+".wh."+base, "")
}

// Opaque says that everything that the layers below have in a folder is gone.
func Opaque(dir string) Entry { return File(dir+"/.wh..wh..opq", "") }

// Archive is the tar archive of the entries.
func Archive(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries {
		require.NoError(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.Content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return archive.Bytes()
}

// Layer is a compressed layer of the entries.
func Layer(t testing.TB, entries ...Entry) v1.Layer {
	t.Helper()
	return RawLayer(t, Archive(t, entries...))
}

// RawLayer is a compressed layer of an archive.
func RawLayer(t testing.TB, archive []byte) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil })
	require.NoError(t, err)
	return layer
}

// New makes an image of layers that does not start as root.
func New(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	return WithConfig(t, v1.Config{User: "65532"}, nil, layers...)
}

// WithConfig makes an image with a config of its own, and with the history of a build.
func WithConfig(t testing.TB, config v1.Config, steps []string, layers ...v1.Layer) v1.Image {
	t.Helper()
	file := &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}, Config: config}
	for _, step := range steps {
		file.History = append(file.History, v1.History{CreatedBy: step, Created: v1.Time{Time: time.Unix(0, 0).UTC()}, EmptyLayer: true})
	}
	made, err := mutate.ConfigFile(empty.Image, file)
	require.NoError(t, err)
	made, err = mutate.AppendLayers(made, layers...)
	require.NoError(t, err)
	return made
}

// ID is the image's ID.
func ID(t testing.TB, img v1.Image) string {
	t.Helper()
	digest, err := img.ConfigName()
	require.NoError(t, err)
	return digest.String()
}

// Save writes the image as docker save does, and returns the file.
func Save(t testing.TB, img v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("test/image:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(file, tag, img))
	return file
}

// Open makes an image of layers and opens it.
func Open(t testing.TB, layers ...v1.Layer) *image.Image {
	t.Helper()
	opened, err := image.Archive(context.Background(), Save(t, New(t, layers...)), "", Platform)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	return opened
}
