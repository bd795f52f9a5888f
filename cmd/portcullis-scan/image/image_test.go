package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/image/imagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// sample is an image with two layers.
func sample(t *testing.T) v1.Image {
	return imagetest.New(t, imagetest.Layer(t, imagetest.File("a", "first")), imagetest.Layer(t, imagetest.File("b", "second")))
}

// filesIn returns the files of all layers, and fails when a layer cannot be read to its end.
func filesIn(t *testing.T, img *image.Image) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, layer := range img.Layers {
		r, err := layer.Open(ctx, nil)
		require.NoError(t, err)
		archive := tar.NewReader(r)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			content, err := io.ReadAll(archive)
			require.NoError(t, err)
			found[header.Name] = string(content)
		}
		_, err = io.Copy(io.Discard, r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	return found
}

func requireSample(t *testing.T, want v1.Image, got *image.Image) {
	t.Helper()
	require.Equal(t, imagetest.ID(t, want), got.ID)
	require.Equal(t, "65532", got.Config.Config.User)
	require.Equal(t, map[string]string{"a": "first", "b": "second"}, filesIn(t, got))
	require.Equal(t, map[string]string{"a": "first", "b": "second"}, filesIn(t, got), "the second time")
	got.Close()
}

// ociLayout writes images into the folder of an OCI layout.
func ociLayout(t *testing.T, add ...mutate.IndexAddendum) string {
	t.Helper()
	folder := t.TempDir()
	_, err := layout.Write(folder, mutate.AppendManifests(empty.Index, add...))
	require.NoError(t, err)
	return folder
}

// tarOf packs a folder.
func tarOf(t *testing.T, folder string) string {
	t.Helper()
	var entries []imagetest.Entry
	require.NoError(t, filepath.WalkDir(folder, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		relative, _ := filepath.Rel(folder, file)
		entries = append(entries, imagetest.File("./"+relative, string(content)))
		return err
	}))
	return fileWith(t, imagetest.Archive(t, entries...))
}

func fileWith(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.tar")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

func TestEveryKindOfArchiveIsTheSameImage(t *testing.T) {
	want := sample(t)
	folder := ociLayout(t, mutate.IndexAddendum{Add: want})
	for kind, file := range map[string]string{"docker save": imagetest.Save(t, want), "OCI folder": folder, "OCI tar": tarOf(t, folder)} {
		t.Run(kind, func(t *testing.T) {
			got, err := image.Archive(ctx, file, "", imagetest.Platform)
			require.NoError(t, err)
			requireSample(t, want, got)
		})
	}
}

func TestLayersCompressedInEveryWay(t *testing.T) {
	archive := imagetest.Archive(t, imagetest.File("a", strings.Repeat("a", 100_000)))
	var zstandard, gzipped bytes.Buffer
	z, err := zstd.NewWriter(&zstandard)
	require.NoError(t, err)
	_, err = z.Write(archive)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	g := gzip.NewWriter(&gzipped)
	for _, half := range [][]byte{archive[:5000], archive[5000:]} { // two members, as pigz and estargz write them
		_, err = g.Write(half)
		require.NoError(t, err)
		require.NoError(t, g.Close())
		g.Reset(&gzipped)
	}
	for kind, stored := range map[string][]byte{"plain": archive, "gzip": gzipped.Bytes(), "zstd": zstandard.Bytes()} {
		t.Run(kind, func(t *testing.T) {
			img := withStored(t, archive, stored)
			got, err := image.Archive(ctx, img, "", imagetest.Platform)
			require.NoError(t, err)
			defer got.Close()
			require.Len(t, filesIn(t, got)["a"], 100_000)
		})
	}
}

// withStored writes an archive of docker save whose config promises one layer, and which holds another.
func withStored(t *testing.T, promised, stored []byte) string {
	t.Helper()
	digest, _, err := v1.SHA256(bytes.NewReader(promised))
	require.NoError(t, err)
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%q]}}`, digest)
	return fileWith(t, imagetest.Archive(t,
		imagetest.File("manifest.json", `[{"Config":"config.json","RepoTags":["test/a:1"],"Layers":["1/layer.tar"]}]`),
		imagetest.File("config.json", config), imagetest.Symlink("1/layer.tar", "../2/layer.tar"), imagetest.File("2/layer.tar", string(stored))))
}

// A verdict is about an image ID, so the content must be that of the ID.
func TestALayerThatTheConfigDoesNotPromiseIsRefused(t *testing.T) {
	promised := imagetest.Archive(t, imagetest.File("clean", "clean"))
	for name, stored := range map[string][]byte{
		"another layer": imagetest.Archive(t, imagetest.File("evil", "evil!")),
		"a longer one":  append(bytes.Clone(promised), 0),
		"a shorter one": promised[:len(promised)-1],
	} {
		t.Run(name, func(t *testing.T) {
			got, err := image.Archive(ctx, withStored(t, promised, stored), "", imagetest.Platform)
			require.NoError(t, err)
			defer got.Close()
			r, err := got.Layers[0].Open(ctx, nil)
			require.NoError(t, err)
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			require.ErrorContains(t, err, "damaged or forged")
		})
	}
}

func TestBrokenArchivesSayWhatIsWrong(t *testing.T) {
	good, err := os.ReadFile(imagetest.Save(t, sample(t)))
	require.NoError(t, err)
	var packed bytes.Buffer
	g := gzip.NewWriter(&packed)
	_, err = g.Write(good)
	require.NoError(t, err)
	require.NoError(t, g.Close())
	manifest := func(text string) []byte { return imagetest.Archive(t, imagetest.File("manifest.json", text)) }
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":                 {nil, "empty or truncated tar file"},
		"compressed":            {packed.Bytes(), "decompress it first"},
		"not a tar file":        {[]byte(strings.Repeat("hello ", 200)), "not a tar file"},
		"another tar file":      {imagetest.Archive(t, imagetest.File("README", "hello")), "neither index.json nor manifest.json"},
		"truncated":             {good[:len(good)-3000], "truncated tar file"},
		"manifest is no JSON":   {manifest("hello"), "manifest.json: invalid character"},
		"manifest of nothing":   {manifest("[]"), "manifest.json: 0 images in it"},
		"config not there":      {manifest(`[{"Config":"../../etc/passwd","Layers":[]}]`), "config: ../../etc/passwd: file does not exist"},
		"huge manifest":         {manifest(strings.Repeat(" ", 9<<20)), "larger than 8388608 bytes"},
		"links in circles":      {imagetest.Archive(t, imagetest.Symlink("manifest.json", "b"), imagetest.Symlink("b", "manifest.json")), "neither index.json nor manifest.json"},
		"layers do not add up":  {imagetest.Archive(t, imagetest.File("manifest.json", `[{"Config":"c","Layers":["a","b"]}]`), imagetest.File("c", `{"rootfs":{"diff_ids":[]}}`)), "config names 0 layers and the manifest 2"},
		"index of an index ...": {imagetest.Archive(t, imagetest.File("index.json", `{"manifests":[]}`)), "no image in it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := image.Archive(ctx, fileWith(t, c.content), "", imagetest.Platform)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err = image.Archive(ctx, filepath.Join(t.TempDir(), "none.tar"), "", imagetest.Platform)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAManifestThatWasTamperedWithIsRefused(t *testing.T) {
	folder := ociLayout(t, mutate.IndexAddendum{Add: sample(t)})
	require.NoError(t, filepath.WalkDir(folder, func(file string, _ os.DirEntry, err error) error {
		if content, _ := os.ReadFile(file); err == nil && path.Base(path.Dir(file)) == "sha256" && bytes.Contains(content, []byte(`"layers"`)) {
			return os.WriteFile(file, append(content, ' '), 0o600)
		}
		return err
	}))
	_, err := image.Archive(ctx, folder, "", imagetest.Platform)
	require.ErrorContains(t, err, "content has another digest: damaged")
}

func TestALinkInALayoutDoesNotLeadOutOfIt(t *testing.T) {
	folder := t.TempDir()
	outside := filepath.Join(t.TempDir(), "index.json")
	require.NoError(t, os.WriteFile(outside, []byte(`{"manifests":[]}`), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(folder, "index.json")))
	_, err := image.Archive(ctx, folder, "", imagetest.Platform)
	require.ErrorContains(t, err, "escapes")
}

func TestOneOfSeveralImagesIsChosen(t *testing.T) {
	one, two := imagetest.New(t), sample(t)
	arm := v1.Platform{OS: "linux", Architecture: "arm64"}
	named := func(img v1.Image, name string, platform *v1.Platform) mutate.IndexAddendum {
		d := v1.Descriptor{Platform: platform}
		if name != "" {
			d.Annotations = map[string]string{"org.opencontainers.image.ref.name": name}
		}
		return mutate.IndexAddendum{Add: img, Descriptor: d}
	}
	unknown := v1.Platform{OS: "unknown", Architecture: "unknown"}
	for what, c := range map[string]struct {
		add  []mutate.IndexAddendum
		name string
		want v1.Image
		err  string
	}{
		"by platform":                         {add: []mutate.IndexAddendum{named(one, "", &arm), named(two, "", &imagetest.Platform)}, want: two},
		"attestations do not count":           {add: []mutate.IndexAddendum{named(one, "", &unknown), named(two, "", &imagetest.Platform)}, want: two},
		"the only one, whatever its platform": {add: []mutate.IndexAddendum{named(one, "", &arm)}, want: one},
		"by name":                             {add: []mutate.IndexAddendum{named(one, "shop/web:1", nil), named(two, "shop/web:2", nil)}, name: "shop/web:2", want: two},
		"by tag":                              {add: []mutate.IndexAddendum{named(one, "1", nil), named(two, "2", nil)}, name: "shop/web:2", want: two},
		"unclear":                             {add: []mutate.IndexAddendum{named(one, "1", nil), named(two, "2", nil)}, err: "several images, choose one with --name or --platform"},
		"other platforms":                     {add: []mutate.IndexAddendum{named(one, "", &arm), named(two, "", &v1.Platform{OS: "linux", Architecture: "s390x"})}, err: "no image for linux/amd64 in it, choose another with --platform: sha256:"},
		"no such name":                        {add: []mutate.IndexAddendum{named(one, "1", nil)}, name: "x:9", err: `no image "x:9" in it; it has sha256:`},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := image.Archive(ctx, ociLayout(t, c.add...), c.name, imagetest.Platform)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			defer got.Close()
			require.Equal(t, imagetest.ID(t, c.want), got.ID)
		})
	}
}

func TestOneOfSeveralSavedImagesIsChosen(t *testing.T) {
	one, two := imagetest.New(t), sample(t)
	file := filepath.Join(t.TempDir(), "two.tar")
	tags := map[name.Reference]v1.Image{}
	for text, img := range map[string]v1.Image{"test/one:1": one, "test/two:1": two} {
		tag, err := name.NewTag(text)
		require.NoError(t, err)
		tags[tag] = img
	}
	require.NoError(t, tarball.MultiRefWriteToFile(file, tags))
	got, err := image.Archive(ctx, file, "test/two:1", imagetest.Platform)
	require.NoError(t, err)
	requireSample(t, two, got)
	_, err = image.Archive(ctx, file, "", imagetest.Platform)
	require.ErrorContains(t, err, `2 images in it, choose one with --name`)
	_, err = image.Archive(ctx, file, "nosuch", imagetest.Platform)
	require.ErrorContains(t, err, `no image "nosuch" in it; it has [`)
	require.ErrorContains(t, err, `"test/one:1"`)
	for _, spelled := range []string{"docker.io/test/two:1", "index.docker.io/test/two:1"} {
		got, err := image.Archive(ctx, file, spelled, imagetest.Platform)
		require.NoError(t, err)
		require.Equal(t, imagetest.ID(t, two), got.ID)
		got.Close()
	}
}

// containerd imports what index.json says and docker what manifest.json says.
func TestAnArchiveThatIsOneImageForDockerAndAnotherForContainerdIsRefused(t *testing.T) {
	clean, evil := imagetest.New(t), sample(t)
	both := func(inIndex v1.Image, inManifest ...v1.Image) string {
		folder := ociLayout(t, mutate.IndexAddendum{Add: inIndex, Descriptor: v1.Descriptor{
			Platform: &imagetest.Platform, Annotations: map[string]string{"io.containerd.image.name": "docker.io/test/image:0"},
		}})
		var manifest []string
		for i, img := range inManifest {
			config, err := img.RawConfigFile()
			require.NoError(t, err)
			file := fmt.Sprintf("config%d.json", i)
			require.NoError(t, os.WriteFile(filepath.Join(folder, file), config, 0o600))
			manifest = append(manifest, fmt.Sprintf(`{"Config":%q,"RepoTags":["test/image:%d"],"Layers":[]}`, file, i))
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, "manifest.json"), []byte("["+strings.Join(manifest, ",")+"]"), 0o600))
		return tarOf(t, folder)
	}
	for what, c := range map[string]struct {
		file, name, err string
	}{
		"the same":          {file: both(clean, clean)},
		"another":           {file: both(clean, evil), err: "index.json leads to the image " + imagetest.ID(t, clean) + " and manifest.json to " + imagetest.ID(t, evil)},
		"another by name":   {file: both(clean, evil), name: "test/image:0", err: "which one runs depends on who imports the archive"},
		"one more":          {file: both(clean, clean, evil), err: "choose one that both have with --name"},
		"one more, by name": {file: both(clean, clean, evil), name: "test/image:0"},
		"none of the name":  {file: both(clean, clean), name: "test/image:9", err: `no image "test/image:9" in it`},
		"none in manifest":  {file: both(clean), err: "manifest.json: 0 images in it"},
		"name in full":      {file: both(clean, clean), name: "docker.io/test/image:0"},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := image.Archive(ctx, c.file, c.name, imagetest.Platform)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			defer got.Close()
			require.Equal(t, imagetest.ID(t, clean), got.ID)
		})
	}
}

func TestAnArchiveOfLongNamesIsGivenUp(t *testing.T) {
	var entries []imagetest.Entry
	for i := range 20 {
		entries = append(entries, imagetest.File(fmt.Sprintf("%d/%s", i, strings.Repeat("x", 1<<20-1000)), ""))
	}
	_, err := image.Archive(ctx, fileWith(t, imagetest.Archive(t, entries...)), "", imagetest.Platform)
	require.ErrorContains(t, err, "more than 16777216 bytes of names in it: not the archive of an image")
}

// newRegistry is a registry on loopback; it counts the blobs that it gives.
func newRegistry(t *testing.T) (host string, blobs *atomic.Int32) {
	t.Helper()
	blobs = &atomic.Int32{}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			blobs.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		remote.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return strings.TrimPrefix(server.URL, "http://"), blobs
}

func push(t *testing.T, reference string, img v1.Image) {
	t.Helper()
	parsed, err := name.ParseReference(reference)
	require.NoError(t, err)
	require.NoError(t, remote.Write(parsed, img))
}

func TestAnImageOfARegistryIsDownloadedOnce(t *testing.T) {
	host, blobs := newRegistry(t)
	want := sample(t)
	push(t, host+"/team/app:1", want)
	temp := t.TempDir()
	got, err := image.Registry(ctx, host+"/team/app:1", true, imagetest.Platform, temp)
	require.NoError(t, err)
	requireSample(t, want, got)
	require.EqualValues(t, 3, blobs.Load(), "config and two layers")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestThePlatformDecidesInARegistry(t *testing.T) {
	host, _ := newRegistry(t)
	want := sample(t)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imagetest.New(t), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: want, Descriptor: v1.Descriptor{Platform: &imagetest.Platform}})
	reference, err := name.ParseReference(host + "/team/app:multi")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(reference, index))
	got, err := image.Registry(ctx, reference.String(), true, imagetest.Platform, t.TempDir())
	require.NoError(t, err)
	requireSample(t, want, got)
}

func TestARegistryThatCannotBeReadSaysWhy(t *testing.T) {
	host, _ := newRegistry(t)
	_, err := image.Registry(ctx, host+"/no/such:1", true, imagetest.Platform, t.TempDir())
	require.ErrorContains(t, err, "image "+host+"/no/such:1")
	_, err = image.Registry(ctx, "Not A Reference", false, imagetest.Platform, t.TempDir())
	require.ErrorContains(t, err, "neither a file nor a reference")
}

// The addresses of foreign layers are the choice of the image's author.
func TestAForeignLayerIsNotFetchedFromWhereItsManifestSays(t *testing.T) {
	host, _ := newRegistry(t)
	foreign, err := mutate.Append(imagetest.New(t), mutate.Addendum{
		Layer: static.NewLayer(imagetest.Archive(t, imagetest.File("a", "a")), types.DockerForeignLayer),
		URLs:  []string{"http://127.0.0.1:1/"},
	})
	require.NoError(t, err)
	push(t, host+"/team/foreign:1", foreign)
	got, err := image.Registry(ctx, host+"/team/foreign:1", true, imagetest.Platform, t.TempDir())
	require.NoError(t, err)
	defer got.Close()
	_, err = got.Layers[0].Open(ctx, nil)
	require.ErrorContains(t, err, "not kept in the registry")
}

func TestReadingStopsWithItsContext(t *testing.T) {
	got := imagetest.Open(t, imagetest.Layer(t, imagetest.File("a", strings.Repeat("a", 1<<20))))
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err := got.Layers[0].Open(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzNoArchiveMakesTheReaderFail reads archives that nobody would write.
func FuzzNoArchiveMakesTheReaderFail(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","mediaType":"application/vnd.oci.image.index.v1+json"}]}`), []byte(`[{"Config":"c","Layers":["l"]}]`), []byte(`{"rootfs":{"diff_ids":["sha256:00"]}}`))
	f.Fuzz(func(t *testing.T, index, manifest, config []byte) {
		entries := []imagetest.Entry{imagetest.File("manifest.json", string(manifest)), imagetest.File("c", string(config)), imagetest.File("l", "")}
		if len(index) > 0 {
			entries = append(entries, imagetest.File("index.json", string(index)))
		}
		got, err := image.Archive(ctx, fileWith(t, imagetest.Archive(t, entries...)), "", imagetest.Platform)
		if err == nil {
			got.Close()
		}
	})
}
