// Package rootfs answers: which files does a container of this image see?
//
// Build reads the headers of all layers and keeps the tree of names that is left when each layer has
// overridden those below it. Read then passes once more over the layers and hands the content of every
// file in that tree, and of no other, to those who inspect it. Nothing is ever written under a name
// that the image chose, so a name cannot lead out of the tree.
package rootfs

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Tree is the file system of an image.
type Tree struct {
	root   *node
	inodes []*inode // in the order in which the layers hold them
	doubts []*node  // that some runtimes would show and others not; they are inspected, but not in the tree
	count  int      // of nodes
	limits Limits
	names  int // bytes of names and link targets
	steps  int // from folder to folder
	upper  upper
}

// node is one name in one folder.
type node struct {
	name     string
	kind     fs.FileMode // type bits: 0 is a regular file
	depth    int32
	emptied  int32 // 1 + the layer that last took away what is below in this folder
	layer    int   // that wrote it last
	parent   *node
	children map[string]*node // of a folder
	target   string           // of a symbolic link
	file     *inode           // of a regular file; hard links share it
	also     *node            // the next name of the same file
}

// inode is the content of a file.
type inode struct {
	layer, entry int // where it stands
	size         int64
	mode         fs.FileMode
	names        *node // that lead to it, chained by also; nil when none is left
}

func newTree(limits Limits) *Tree {
	return &Tree{root: &node{kind: fs.ModeDir, children: map[string]*node{}}, limits: limits}
}

// path returns the node's name from the root, without a leading slash.
func (n *node) path() string {
	var names []string
	for ; n.parent != nil; n = n.parent {
		names = append(names, n.name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

func (n *node) isDir() bool { return n.kind == fs.ModeDir }

var (
	errTooManyLinks = errors.New("too many symbolic links")
	errPathTooLong  = errors.New("path is longer than Linux allows")
)

// walker finds the way from the root along a path, as the kernel does after chroot: links that point
// upwards or are absolute end at the root.
type walker struct {
	tree  *Tree
	layer int // that is being applied
	links int
	// crossed says that the way led over a link of a layer below.
	crossed bool
	// missing says what to do about a folder that is not there, or is no folder.
	missing func(parent *node, name string) (*node, error)
}

// folder returns the folder that the path leads to, with all links followed.
func (w *walker) folder(from *node, name string) (*node, error) {
	if len(name) > maxPath {
		return nil, errPathTooLong
	}
	if strings.HasPrefix(name, "/") {
		from = w.tree.root
	}
	at := from
	for part := range strings.SplitSeq(name, "/") {
		var err error
		if at, err = w.step(at, part); err != nil {
			return nil, err
		}
	}
	return at, nil
}

func (w *walker) step(at *node, part string) (*node, error) {
	if w.tree.steps++; w.tree.steps > maxSteps {
		return nil, errSteps
	}
	switch part {
	case "", ".":
		return at, nil
	case "..":
		if at.parent == nil {
			return at, nil
		}
		return at.parent, nil
	}
	child := at.children[part]
	switch {
	case child != nil && child.isDir():
		return child, nil
	case child != nil && child.kind == fs.ModeSymlink:
		if w.links++; w.links > maxLinks {
			return nil, errTooManyLinks
		}
		w.crossed = w.crossed || child.layer < w.layer
		return w.folder(at, child.target)
	}
	return w.missing(at, part)
}

// lookup finds what a path leads to; the last name is followed when it is a link.
func (t *Tree) lookup(name string) (*node, error) {
	w := &walker{tree: t, missing: func(*node, string) (*node, error) { return nil, fs.ErrNotExist }}
	at := t.root
	for {
		dir, base := path.Split(name)
		parent, err := w.folder(at, dir)
		if err != nil {
			return nil, err
		}
		if base == "" || base == "." || base == ".." {
			return w.step(parent, base)
		}
		child := parent.children[base]
		switch {
		case child == nil:
			return nil, fs.ErrNotExist
		case child.kind != fs.ModeSymlink:
			return child, nil
		}
		if w.links++; w.links > maxLinks {
			return nil, errTooManyLinks
		}
		at, name = parent, child.target
	}
}
