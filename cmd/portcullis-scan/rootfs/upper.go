package rootfs

// upper is what is remembered of a layer while it is applied, because runtimes differ about a folder that
// a layer makes in a place which it has cleared before. With overlayfs, what is cleared within a layer leaves
// no trace: the folder that is there at the end does not hide the one below, unless it is opaque. Elsewhere
// what was below is gone. Builders write no such layers; whoever does may have something to hide.
type upper struct {
	layer  int
	hidden []*node        // files of the layers below that this layer took away
	white  map[place]bool // names that this layer took away with a whiteout
	reborn bool           // a folder was made where the layer had cleared something
}

// place is a name in a folder.
type place struct {
	parent *node
	name   string
}

func (t *Tree) whiteOut(parent *node, name string, layer int) {
	child := parent.children[name]
	if child == nil {
		return
	}
	if t.upper.white == nil {
		t.upper.white = map[place]bool{}
	}
	t.upper.white[place{parent, child.name}] = true
	t.remove(child, layer)
}

// madeFolder takes note of a new folder at a place where old was, if anything.
func (u *upper) madeFolder(at place, old *node) {
	if old != nil && old.layer == u.layer || u.white[at] {
		u.reborn = true
	}
}

// finishLayer decides about what the layer took away.
func (t *Tree) finishLayer() {
	if t.upper.reborn {
		t.doubts = append(t.doubts, t.upper.hidden...)
		return
	}
	t.count -= len(t.upper.hidden)
}
