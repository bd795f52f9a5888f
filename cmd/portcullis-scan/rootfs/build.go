package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"portcullis/cmd/portcullis-scan/image"
)

// The names by which a layer says what is gone from the layers below it.
const (
	whiteoutPrefix = ".wh."
	opaqueFolder   = ".wh..wh..opq"
)

// Build reads the headers of every layer. progress is told how many stored bytes were read.
func Build(ctx context.Context, img *image.Image, limits Limits, progress func(bytes int)) (*Tree, error) {
	t := newTree(limits)
	budget := &budget{limit: limits.Bytes}
	for i, layer := range img.Layers {
		archive, err := layer.Open(ctx, progress)
		if err != nil {
			return nil, err
		}
		err = t.addLayer(i, archive, budget)
		archive.Close()
		if err != nil {
			return nil, fmt.Errorf("layer %d of %d: %w", i+1, len(img.Layers), err)
		}
	}
	t.settle()
	t.upper = upper{}
	return t, nil
}

// budget counts the bytes of an image against the limit: those of the decompressed layers, and those
// that the files claim, because the holes of a sparse file take no space in a layer.
type budget struct {
	limit           int64
	stream, logical int64
}

func (b *budget) take(used *int64, n int64) error {
	if n > b.limit-*used {
		return &LimitError{What: "bytes", Most: b.limit}
	}
	*used += n
	return nil
}

// budgeted is a layer read against the budget.
type budgeted struct {
	io.Reader
	budget *budget
}

func (b budgeted) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if exceeded := b.budget.take(&b.budget.stream, int64(n)); exceeded != nil {
		return 0, exceeded
	}
	return n, err
}

func (t *Tree) addLayer(layer int, archive io.Reader, budget *budget) error {
	t.upper = upper{layer: layer}
	limited := budgeted{archive, budget}
	reader := tar.NewReader(limited)
	for entry := 0; ; entry++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := budget.take(&budget.logical, max(header.Size, 0)); err != nil {
			return err
		}
		if err := foldersElsewhere(header); err != nil {
			return fmt.Errorf("%.200q: %w", header.Name, err)
		}
		if err := t.add(layer, entry, header); err != nil {
			return fmt.Errorf("%.200q: %w", header.Name, err)
		}
	}
	t.finishLayer()
	// What stands behind the archive's end belongs to the digest.
	_, err := io.Copy(io.Discard, limited)
	return err
}

// foldersElsewhere refuses the attributes by which overlayfs shows content of another path than the layer's:
// a builder writes none, and whoever reads the layers does not see what a container would.
func foldersElsewhere(header *tar.Header) error {
	for key := range header.PAXRecords {
		attribute := strings.TrimPrefix(key, "SCHILY.xattr.")
		for _, prefix := range []string{"trusted.overlay.", "user.overlay."} {
			switch strings.TrimPrefix(attribute, prefix) {
			case "redirect", "metacopy":
				return fmt.Errorf("has the attribute %s, which is overlayfs's own: not the layer of an image", attribute)
			}
		}
	}
	return nil
}

// add applies one entry of a layer's archive, as a runtime does that unpacks it.
//
// Where an entry's path leads over a link of a layer below, runtimes differ: with overlayfs the layer gets
// a folder of its own in the place of the link, elsewhere the entry goes where the link leads. Then nothing
// is taken for deleted or overridden.
func (t *Tree) add(layer, entry int, header *tar.Header) error {
	name := path.Clean("/" + header.Name)
	if len(name) > maxPath || len(header.Linkname) > maxPath {
		return errPathTooLong
	}
	dir, base := path.Split(name)
	parent, crossed, err := t.makeFolder(layer, dir)
	if err != nil {
		return err
	}
	switch {
	case base == "":
		return nil
	case crossed && strings.HasPrefix(base, whiteoutPrefix):
		return nil
	case base == opaqueFolder:
		t.removeBelow(parent, layer)
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		t.whiteOut(parent, strings.TrimPrefix(base, whiteoutPrefix), layer)
		return nil
	}
	if old := parent.children[base]; crossed && old != nil && header.Typeflag != tar.TypeDir {
		delete(parent.children, base)
		t.doubts = append(t.doubts, old)
	}
	return t.put(parent, base, layer, entry, header)
}

func (t *Tree) put(parent *node, base string, layer, entry int, header *tar.Header) error {
	switch header.Typeflag {
	case tar.TypeDir:
		if old := parent.children[base]; old != nil && old.isDir() {
			old.layer = layer
			return nil
		}
		t.upper.madeFolder(place{parent, base}, parent.children[base])
		_, err := t.insert(parent, base, layer, &node{kind: fs.ModeDir})
		return err
	case tar.TypeReg, tar.TypeGNUSparse:
		return t.putFile(parent, base, layer, &inode{layer: layer, entry: entry, size: header.Size, mode: header.FileInfo().Mode()})
	case tar.TypeLink:
		return t.putHardLink(parent, base, layer, header.Linkname)
	case tar.TypeSymlink:
		_, err := t.insert(parent, base, layer, &node{kind: fs.ModeSymlink, target: strings.Clone(header.Linkname)})
		return err
	case tar.TypeXGlobalHeader:
		return nil
	}
	_, err := t.insert(parent, base, layer, &node{kind: fs.ModeIrregular}) // devices and pipes
	return err
}

func (t *Tree) putFile(parent *node, base string, layer int, file *inode) error {
	_, err := t.insert(parent, base, layer, &node{file: file})
	t.inodes = append(t.inodes, file)
	return err
}

// putHardLink gives a second name to a file. One that leads nowhere is left out: it adds no content.
func (t *Tree) putHardLink(parent *node, base string, layer int, target string) error {
	dir, last := path.Split(path.Clean("/" + target))
	w := &walker{tree: t, missing: func(*node, string) (*node, error) { return nil, fs.ErrNotExist }}
	folder, err := w.folder(t.root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	original := folder.children[last]
	if original == nil || original.isDir() || original == parent.children[base] {
		return nil
	}
	_, err = t.insert(parent, base, layer, &node{kind: original.kind, target: original.target, file: original.file})
	return err
}

// makeFolder returns the folder at a path, made where it is not there, and whether the way led over a link
// of a layer below.
func (t *Tree) makeFolder(layer int, name string) (folder *node, crossed bool, err error) {
	w := &walker{tree: t, layer: layer, missing: func(parent *node, name string) (*node, error) {
		return t.insert(parent, name, layer, &node{kind: fs.ModeDir})
	}}
	folder, err = w.folder(t.root, name)
	return folder, w.crossed, err
}

// insert puts a node in the place of what had its name.
func (t *Tree) insert(parent *node, name string, layer int, n *node) (*node, error) {
	if old := parent.children[name]; old != nil {
		t.forget(old)
	}
	if t.count++; t.count > t.limits.Files {
		return nil, &LimitError{What: "files", Most: int64(t.limits.Files)}
	}
	if len(name) > maxName {
		return nil, errPathTooLong
	}
	if t.names += len(name) + len(n.target); t.names > maxNames {
		return nil, errNames
	}
	n.name = strings.Clone(name) // the whole path would stay in memory with a part of it
	n.parent, n.depth, n.layer = parent, parent.depth+1, layer
	if n.depth > maxDepth {
		return nil, errPathTooLong
	}
	if n.isDir() {
		n.children = map[string]*node{}
	}
	parent.children[n.name] = n
	return n, nil
}

// removeBelow empties a folder of what the layers below wrote.
func (t *Tree) removeBelow(n *node, layer int) {
	mark := int32(layer + 1) //nolint:gosec // an image has at most a thousand layers
	if n.emptied == mark {   // there is nothing more of the layers below; many entries may say it again
		return
	}
	n.emptied = mark
	for _, child := range n.children {
		t.remove(child, layer)
	}
}

// remove takes away what the layers below wrote; what a layer has besides its own whiteout stays.
func (t *Tree) remove(n *node, layer int) {
	t.removeBelow(n, layer)
	if n.layer < layer && len(n.children) == 0 {
		t.forget(n)
	}
}

func (t *Tree) forget(n *node) {
	for _, child := range n.children {
		t.forget(child)
	}
	delete(n.parent.children, n.name)
	t.names -= len(n.name) + len(n.target)
	if n.file != nil && n.layer < t.upper.layer {
		t.upper.hidden = append(t.upper.hidden, n) // which counts up to the end of the layer
		return
	}
	t.count--
}

// settle finds for every file the names that are left, and drops the files that have none.
func (t *Tree) settle() {
	t.nameFiles(t.root)
	for _, n := range t.doubts {
		t.nameFile(n)
	}
	left := t.inodes[:0]
	for _, file := range t.inodes {
		if file.names != nil {
			left = append(left, file)
		}
	}
	clear(t.inodes[len(left):])
	t.inodes = left
}

func (t *Tree) nameFiles(n *node) {
	for _, child := range n.children {
		t.nameFile(child)
	}
}

func (t *Tree) nameFile(n *node) {
	if n.file != nil {
		n.also, n.file.names = n.file.names, n
	}
	t.nameFiles(n)
}
