package rootfs

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"portcullis/cmd/portcullis-scan/scratch"
)

// Kept is an Inspector that keeps the files that are wanted, in one file without a name on the disk, and
// then shows the tree as a file system in which these files can be opened. Folders and links are all
// there; a file that was not kept has a size, but cannot be opened.
type Kept struct {
	tree  *Tree
	want  func(File) bool
	disk  *os.File
	end   int64
	parts map[*inode]int64 // where the content begins
}

// Keep makes a Kept of the tree's files for which want says so. temp is a folder on disk.
func (t *Tree) Keep(want func(File) bool, temp string) (*Kept, error) {
	disk, err := scratch.File(temp)
	if err != nil {
		return nil, err
	}
	return &Kept{tree: t, want: want, disk: disk, parts: map[*inode]int64{}}, nil
}

// Close gives up the disk space.
func (k *Kept) Close() { k.disk.Close() }

// Inspect implements Inspector.
func (k *Kept) Inspect(file File) (io.WriteCloser, error) {
	if !k.want(file) {
		return nil, nil
	}
	k.parts[file.file] = k.end
	return keeper{k}, nil
}

// keeper appends the one file that passes to the disk.
type keeper struct{ *Kept }

func (k keeper) Write(content []byte) (int, error) {
	n, err := k.disk.Write(content)
	k.end += int64(n)
	return n, err
}

func (keeper) Close() error { return nil }

// Open implements fs.FS.
func (k *Kept) Open(name string) (fs.File, error) {
	n, err := k.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.isDir() {
		return &openFolder{info: info{n}, entries: entries(n)}, nil
	}
	offset, kept := k.parts[n.file]
	if n.file == nil || !kept {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openFile{SectionReader: io.NewSectionReader(k.disk, offset, n.file.size), info: info{n}}, nil
}

// Stat implements fs.StatFS; it follows links, as os.Stat does.
func (k *Kept) Stat(name string) (fs.FileInfo, error) {
	n, err := k.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{n}, nil
}

// ReadDir implements fs.ReadDirFS.
func (k *Kept) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := k.find("readdir", name)
	if err != nil {
		return nil, err
	}
	return entries(n), nil
}

func (k *Kept) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, err := k.tree.lookup(name)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}

func entries(n *node) []fs.DirEntry {
	list := make([]fs.DirEntry, 0, len(n.children))
	for _, child := range n.children {
		list = append(list, fs.FileInfoToDirEntry(info{child}))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// info is what a node says of itself.
type info struct{ *node }

func (i info) Name() string {
	if i.parent == nil {
		return "."
	}
	return i.name
}

func (i info) Size() int64 {
	if i.file == nil {
		return 0
	}
	return i.file.size
}

func (i info) Mode() fs.FileMode {
	if i.file == nil {
		return i.kind | 0o755
	}
	return i.file.mode
}

func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.isDir() }
func (i info) Sys() any           { return nil }

// openFile is a kept file; extractors need io.ReaderAt and io.Seeker, which the section gives.
type openFile struct {
	*io.SectionReader
	info
}

func (f *openFile) Size() int64                { return f.info.Size() }
func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

// openFolder lists its entries piece by piece.
type openFolder struct {
	info
	entries []fs.DirEntry
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFolder) Close() error               { return nil }

func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(f.entries)
	} else if len(f.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.entries))
	list := f.entries[:n]
	f.entries = f.entries[n:]
	return list, nil
}
