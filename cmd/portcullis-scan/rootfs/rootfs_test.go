package rootfs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"portcullis/cmd/portcullis-scan/image"
	"portcullis/cmd/portcullis-scan/image/containerdtest"
	"portcullis/cmd/portcullis-scan/image/imagetest"
	"portcullis/cmd/portcullis-scan/rootfs"
)

// reader is an Inspector that remembers everything.
type reader struct {
	seen  map[string]string
	names map[string][]string
}

func (r *reader) Inspect(file rootfs.File) (io.WriteCloser, error) {
	r.names[file.Path] = file.Links
	return &remembered{reader: r, path: file.Path}, nil
}

type remembered struct {
	bytes.Buffer
	reader *reader
	path   string
}

func (r *remembered) Close() error {
	if _, twice := r.reader.seen[r.path]; twice {
		r.path += " (or)"
	}
	r.reader.seen[r.path] = r.String()
	return nil
}

func none(int) {}

// contentsOf returns the files that a container of the image sees.
func contentsOf(t *testing.T, img *image.Image) map[string]string {
	t.Helper()
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.NoError(t, err)
	r := &reader{seen: map[string]string{}, names: map[string][]string{}}
	require.NoError(t, tree.Read(context.Background(), img, []rootfs.Inspector{r}, none))
	require.Equal(t, tree.Files(), len(r.seen))
	return r.seen
}

// seen is what a container sees of layers.
type seen struct {
	layers  [][]imagetest.Entry
	want    map[string]string
	refused bool // by containerd with overlayfs; other runtimes may take it
}

func (s seen) image(t *testing.T) v1.Image {
	t.Helper()
	var layers []v1.Layer
	for _, entries := range s.layers {
		layers = append(layers, imagetest.Layer(t, entries...))
	}
	return imagetest.New(t, layers...)
}

func cases() map[string]seen {
	file, dir, link, hard, gone, opaque := imagetest.File, imagetest.Dir, imagetest.Symlink, imagetest.Link, imagetest.Whiteout, imagetest.Opaque
	type layer = []imagetest.Entry
	return map[string]seen{
		"the upper layer overrides": {
			layers: []layer{{file("a", "old"), file("b", "b")}, {file("a", "new")}},
			want:   map[string]string{"a": "new", "b": "b"},
		},
		"a deleted file is not seen": {
			layers: []layer{{file("etc/a", "a"), file("etc/b", "b")}, {gone("etc/a")}},
			want:   map[string]string{"etc/b": "b"},
		},
		"a deleted folder takes its files along": {
			layers: []layer{{file("opt/x/y", "y"), file("opt/z", "z")}, {gone("opt/x")}},
			want:   map[string]string{"opt/z": "z"},
		},
		"an opaque folder hides what is below": {
			layers: []layer{{file("d/old", "1"), file("d/sub/old", "2")}, {file("d/new", "3"), opaque("d")}},
			want:   map[string]string{"d/new": "3"},
		},
		"a whiteout does not hide files of its own layer": {
			refused: true,
			layers:  []layer{{file("a", "old")}, {file("a", "new"), gone("a")}},
			want:    map[string]string{"a": "new"},
		},
		"a file in the place of a folder": {
			layers: []layer{{file("x/y", "y")}, {file("x", "x")}},
			want:   map[string]string{"x": "x"},
		},
		"a folder in the place of a file": {
			layers: []layer{{file("x", "x")}, {dir("x"), file("x/y", "y")}},
			want:   map[string]string{"x/y": "y"},
		},
		"a file written through a link to a folder": {
			layers: []layer{{dir("usr/lib"), link("lib", "usr/lib"), file("usr/lib/a", "old")}, {file("lib/a", "new")}},
			want:   map[string]string{"usr/lib/a": "old", "usr/lib/a (or)": "new"},
		},
		"a file deleted through a link to a folder": {
			layers: []layer{{file("usr/lib/a", "a"), link("lib", "/usr/lib")}, {gone("lib/a")}},
			want:   map[string]string{"usr/lib/a": "a"},
		},
		"a folder in the place of a link does not write through it": {
			layers: []layer{{file("real/a", "real"), link("d", "real")}, {dir("d"), file("d/a", "mine")}},
			want:   map[string]string{"real/a": "real", "d/a": "mine"},
		},
		"paths that lead upwards end at the root": {
			layers: []layer{{file("../../etc/passwd", "p"), file("a/../../b", "b"), file("/abs", "c"), file("./dot", "d")}},
			want:   map[string]string{"etc/passwd": "p", "b": "b", "abs": "c", "dot": "d"},
		},
		"links that lead upwards end at the root": {
			layers: []layer{{link("up", "../../.."), file("up/x", "x"), link("abs", "/sub"), file("abs/y", "y")}},
			want:   map[string]string{"x": "x", "sub/y": "y"},
		},
		"malware kept alive by a hard link when its name is deleted": {
			refused: true,
			layers:  []layer{{file("bin/evil", "evil")}, {hard("bin/good", "bin/evil")}, {gone("bin/evil")}},
			want:    map[string]string{"bin/good": "evil"},
		},
		"hard links are one file": {
			layers: []layer{{file("b", "x"), hard("a", "b"), hard("c", "a")}},
			want:   map[string]string{"a": "x"},
		},
		"links to nowhere and to themselves": {
			refused: true,
			layers:  []layer{{hard("a", "not/there"), hard("b", "b"), link("c", "c"), file("d", "d")}},
			want:    map[string]string{"d": "d"},
		},
		"the same name twice in a layer": {
			layers: []layer{{file("a", "first"), file("a", "last")}},
			want:   map[string]string{"a": "last"},
		},
		// With overlayfs the layer's own folder is what is left at its end, and nothing says that it hides the
		// one below. Elsewhere what is below is gone.
		"a folder that is deleted and made again shows what is below": {
			layers: []layer{{file("d/evil", "evil")}, {gone("d"), dir("d"), file("d/good", "good")}},
			want:   map[string]string{"d/evil": "evil", "d/good": "good"},
		},
		"a folder after a file of its name shows what is below": {
			layers: []layer{{file("d/x/evil", "evil")}, {file("d", "d"), dir("d"), file("d/good", "good")}},
			want:   map[string]string{"d/x/evil": "evil", "d/good": "good"},
		},
		"a folder that was opaque, then a file, then a folder shows what is below": {
			layers: []layer{{file("d/evil", "evil")}, {dir("d"), opaque("d"), link("d", "x"), dir("d")}},
			want:   map[string]string{"d/evil": "evil"},
		},
		"a folder made again two layers later shows nothing from below": {
			layers: []layer{{file("d/old", "old")}, {gone("d")}, {dir("d"), file("d/new", "new")}},
			want:   map[string]string{"d/new": "new"},
		},
		"links to files that aufs kept beside": {
			layers: []layer{{dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "evil"), hard("bin/evil", ".wh..wh.plnk/1.2")}},
			want:   map[string]string{".wh..wh.plnk/1.2": "evil"},
		},
		"no layers":   {want: map[string]string{}},
		"empty layer": {layers: []layer{{}}, want: map[string]string{}},
		"a layer of whiteouts for what was never there": {
			layers: []layer{{gone("a"), opaque("b"), opaque(".")}},
			want:   map[string]string{},
		},
	}
}

func TestWhatAContainerSees(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			img, err := image.Archive(context.Background(), imagetest.Save(t, c.image(t)), "", imagetest.Platform)
			require.NoError(t, err)
			defer img.Close()
			require.Equal(t, c.want, contentsOf(t, img))
		})
	}
}

// The table above is our reading of the rules; this is the runtime's. Whatever a container can read must
// have been inspected.
func TestNothingThatAContainerOfARealContainerdSeesIsMissed(t *testing.T) {
	containerdtest.Each(t, func(t *testing.T, containerd containerdtest.Containerd) {
		for name, c := range cases() {
			if c.refused || len(c.layers) == 0 {
				continue // there is no such container
			}
			t.Run(name, func(t *testing.T) {
				containerd, img := containerd.For(t), c.image(t)
				containerd.Ctr("images", "import", "--no-unpack", imagetest.Save(t, img))
				inspected := slices.Collect(maps.Values(c.want))
				for name, content := range filesBelow(t, containerd.Mount("docker.io/test/image:1", img)) {
					require.Contains(t, inspected, content, name)
				}
			})
		}
	})
}

// filesBelow returns the content of the files in a folder.
func filesBelow(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(file)
		found[file] = string(content)
		return err
	}))
	return found
}

func TestDevicesAndPipesAreNotFiles(t *testing.T) {
	special := func(kind byte, name string) imagetest.Entry {
		return imagetest.Entry{Header: tar.Header{Typeflag: kind, Name: name, Devmajor: 8, Devminor: 1}}
	}
	img := imagetest.Open(t, imagetest.Layer(t, imagetest.File("was", "a file")),
		imagetest.Layer(t, special(tar.TypeBlock, "dev/sda"), special(tar.TypeChar, "was"), special(tar.TypeFifo, "pipe"), imagetest.File("a", "a")))
	require.Equal(t, map[string]string{"a": "a"}, contentsOf(t, img))
}

func TestAFileHasAllItsNames(t *testing.T) {
	img := imagetest.Open(t, imagetest.Layer(t, imagetest.File("z.jar", "x"), imagetest.Link("a.txt", "z.jar"), imagetest.Link("m", "z.jar")))
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.NoError(t, err)
	r := &reader{seen: map[string]string{}, names: map[string][]string{}}
	require.NoError(t, tree.Read(context.Background(), img, []rootfs.Inspector{r}, none))
	require.Equal(t, map[string][]string{"a.txt": {"m", "z.jar"}}, r.names)
}

func TestImagesThatWouldCostTooMuchAreGivenUp(t *testing.T) {
	small := rootfs.Limits{Bytes: 1 << 20, Files: 100}
	many := make([]imagetest.Entry, 200)
	for i := range many {
		many[i] = imagetest.File(fmt.Sprintf("f%d", i), "")
	}
	targets := make([]imagetest.Entry, 17_000)
	for i := range targets {
		targets[i] = imagetest.Symlink(fmt.Sprint(i), strings.Repeat("x", 4000))
	}
	redirected := imagetest.Dir("bin")
	redirected.PAXRecords = map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/hidden"}
	deep := strings.TrimSuffix(strings.Repeat("x/", 1000), "/")
	for name, c := range map[string]struct {
		entries []imagetest.Entry
		limits  rootfs.Limits
		want    string
	}{
		"a bomb of zeros":          {[]imagetest.Entry{imagetest.File("zeros", strings.Repeat("\x00", 2<<20))}, small, "more than 1048576 bytes; raise the limit with --max-bytes"},
		"more files than fit":      {many, small, "more than 100 files; raise the limit with --max-files"},
		"one path of many folders": {[]imagetest.Entry{imagetest.File(strings.Repeat("d/", 200)+"f", "")}, small, "more than 100 files"},
		"a path beyond Linux":      {[]imagetest.Entry{imagetest.File(strings.Repeat("long/", 1000)+"f", "")}, rootfs.DefaultLimits, "longer than Linux allows"},
		"folders deeper than a path": {[]imagetest.Entry{
			imagetest.Dir(deep), imagetest.Symlink("a", deep), imagetest.Dir("a/" + deep), imagetest.Symlink("b", "a/"+deep), imagetest.Dir("b/" + deep),
		}, rootfs.DefaultLimits, "longer than Linux allows"},
		"a name beyond Linux":        {[]imagetest.Entry{imagetest.File(strings.Repeat("x", 256), "")}, rootfs.DefaultLimits, "longer than Linux allows"},
		"links with long targets":    {targets, rootfs.DefaultLimits, "bytes of names and link targets"},
		"a folder that is elsewhere": {[]imagetest.Entry{redirected}, rootfs.DefaultLimits, "has the attribute trusted.overlay.redirect"},
		"links that lead in circles": {[]imagetest.Entry{imagetest.Symlink("a", "b"), imagetest.Symlink("b", "a"), imagetest.File("a/x", "")}, rootfs.DefaultLimits, "too many symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rootfs.Build(context.Background(), imagetest.Open(t, imagetest.Layer(t, c.entries...)), c.limits, none)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Whoever has the time may say a million times that a folder is opaque, or lead every path over long links.
func TestEntriesThatMakeMuchWorkOfLittleAreDoneWith(t *testing.T) {
	below := make([]imagetest.Entry, 20_000)
	for i := range below {
		below[i] = imagetest.File(fmt.Sprintf("d/%d", i), "")
	}
	again := append(slices.Clone(below), slices.Repeat([]imagetest.Entry{imagetest.Opaque("d"), imagetest.Whiteout("d")}, 20_000)...)
	img := imagetest.Open(t, imagetest.Layer(t, below...), imagetest.Layer(t, again...))
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.NoError(t, err)
	require.Equal(t, 20_000, tree.Files())
}

func TestAFileOfVeryManyNamesIsGivenUp(t *testing.T) {
	deep := strings.Repeat("folder/", 500)
	entries := []imagetest.Entry{imagetest.File(deep+"f", "x")}
	for i := range 1500 {
		entries = append(entries, imagetest.Link(fmt.Sprintf("%s%d", deep, i), deep+"f"))
	}
	img := imagetest.Open(t, imagetest.Layer(t, entries...))
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.NoError(t, err)
	err = tree.Read(context.Background(), img, []rootfs.Inspector{&reader{seen: map[string]string{}, names: map[string][]string{}}}, none)
	require.ErrorContains(t, err, "bytes of paths, all of its hard links together")
}

// sparse is the archive of a file that claims to be huge and takes no space, in the form of old GNU tar.
func sparse(t *testing.T, realSize string) []byte {
	t.Helper()
	header := make([]byte, 512)
	copy(header, "sparse")
	copy(header[100:], "0000644\x00")
	copy(header[108:], "0000000\x00")
	copy(header[116:], "0000000\x00")
	copy(header[124:], "00000000000\x00") // stored size
	copy(header[136:], "00000000000\x00")
	copy(header[156:], "S")
	copy(header[257:], "ustar  \x00")
	copy(header[386:], "00000000000\x0000000000000\x00") // one empty part
	copy(header[483:], realSize+"\x00")
	copy(header[148:], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(header, make([]byte, 1024)...)
}

func TestASparseFileCountsAsLargeAsItClaimsToBe(t *testing.T) {
	img := imagetest.Open(t, imagetest.RawLayer(t, sparse(t, "77777777777")))
	_, err := rootfs.Build(context.Background(), img, rootfs.Limits{Bytes: 1 << 30, Files: 10}, none)
	require.ErrorContains(t, err, "more than 1073741824 bytes")
	img = imagetest.Open(t, imagetest.RawLayer(t, sparse(t, "00000010000")))
	require.Equal(t, map[string]string{"sparse": strings.Repeat("\x00", 4096)}, contentsOf(t, img))
}

func TestATruncatedLayerIsNoSmallLayer(t *testing.T) {
	archive := imagetest.Archive(t, imagetest.File("a", strings.Repeat("a", 5000)), imagetest.File("b", "b"))
	img := imagetest.Open(t, imagetest.RawLayer(t, archive[:3000]))
	_, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.ErrorContains(t, err, "layer 1 of 1")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestKeptFilesAreAFileSystem(t *testing.T) {
	img := imagetest.Open(t,
		imagetest.Layer(t, imagetest.File("usr/lib/os-release", "ID=old"), imagetest.Symlink("etc/os-release", "../usr/lib/os-release"), imagetest.File("usr/bin/big", "not kept")),
		imagetest.Layer(t, imagetest.Program("usr/lib/os-release", "ID=new"), imagetest.Dir("var/empty"), imagetest.Symlink("loop", "loop")))
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.NoError(t, err)
	kept, err := tree.Keep(func(f rootfs.File) bool { return strings.HasSuffix(f.Path, "os-release") }, t.TempDir())
	require.NoError(t, err)
	defer kept.Close()
	require.NoError(t, tree.Read(context.Background(), img, []rootfs.Inspector{kept}, none))

	for _, name := range []string{"usr/lib/os-release", "etc/os-release"} {
		content, err := fs.ReadFile(kept, name)
		require.NoError(t, err)
		require.Equal(t, "ID=new", string(content))
	}
	_, err = kept.Open("usr/bin/big")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = kept.Stat("loop")
	require.ErrorContains(t, err, "too many symbolic links")
	_, err = kept.Open("no/such/file")
	require.ErrorIs(t, err, fs.ErrNotExist)
	info, err := kept.Stat("usr/lib/os-release")
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o755), info.Mode())
	var names []string
	require.NoError(t, fs.WalkDir(kept, ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	}))
	require.Equal(t, []string{".", "etc", "etc/os-release", "loop", "usr", "usr/bin", "usr/bin/big", "usr/lib", "usr/lib/os-release", "var", "var/empty"}, names)
}

func TestKeptFilesBehaveAsOtherFileSystemsDo(t *testing.T) {
	img := imagetest.Open(t, imagetest.Layer(t, imagetest.File("a/b", "content"), imagetest.File("a/c/d", "more"), imagetest.Dir("e")))
	tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
	require.NoError(t, err)
	kept, err := tree.Keep(func(rootfs.File) bool { return true }, t.TempDir())
	require.NoError(t, err)
	defer kept.Close()
	require.NoError(t, tree.Read(context.Background(), img, []rootfs.Inspector{kept}, none))
	require.NoError(t, fstest.TestFS(kept, "a/b", "a/c/d", "e"))
}

// FuzzNoArchiveLeadsAstray applies layers that nobody would make.
func FuzzNoArchiveLeadsAstray(f *testing.F) {
	f.Add([]byte("fa\x00la\x00fa/b\x00"))
	f.Add([]byte("d../x\x00hx\x00wx\x00o.\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var layers [2][]imagetest.Entry
		for i, line := range bytes.Split(script, []byte{0}) {
			if len(line) < 2 || len(line) > 60 || i > 40 {
				continue
			}
			name, target, _ := strings.Cut(string(line[1:]), ">")
			entries := map[byte]imagetest.Entry{
				'f': imagetest.File(name, target), 'd': imagetest.Dir(name), 'l': imagetest.Symlink(name, target),
				'h': imagetest.Link(name, target), 'w': imagetest.Whiteout(name), 'o': imagetest.Opaque(name),
			}
			if e, known := entries[line[0]]; known && strings.Trim(name, "/") == name && name != "" && strings.ToValidUTF8(name+target, "") == name+target {
				layers[i%2] = append(layers[i%2], e)
			}
		}
		img := imagetest.Open(t, imagetest.Layer(t, layers[0]...), imagetest.Layer(t, layers[1]...))
		tree, err := rootfs.Build(context.Background(), img, rootfs.DefaultLimits, none)
		if err != nil {
			return
		}
		r := &reader{seen: map[string]string{}, names: map[string][]string{}}
		require.NoError(t, tree.Read(context.Background(), img, []rootfs.Inspector{r}, none))
		for _, name := range slices.Collect(maps.Keys(r.seen)) {
			require.True(t, fs.ValidPath(name), "%q", name)
		}
	})
}
