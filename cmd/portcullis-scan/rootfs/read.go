package rootfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"portcullis/cmd/portcullis-scan/image"
)

// File is a regular file that a container of the image sees.
type File struct {
	Path  string   // from the root, without a leading slash
	Links []string // other names of the same file
	Size  int64
	Mode  fs.FileMode

	file *inode
}

func (i *inode) describe() (File, error) {
	var names []string
	bytes := 0
	for n := i.names; n != nil; n = n.also {
		names = append(names, n.path())
		if bytes += len(names[len(names)-1]); bytes > maxLinked {
			return File{}, fmt.Errorf("%.200q: %w", names[0], errLinked)
		}
	}
	slices.Sort(names) // two scans of an image must agree
	return File{Path: names[0], Links: names[1:], Size: i.size, Mode: i.mode, file: i}, nil
}

// Info is what fs.Stat says of the file.
func (f File) Info() fs.FileInfo { return info{f.file.names} }

// Inspector looks at files as they pass.
type Inspector interface {
	// Inspect returns where to write the file's content, nil when it is not wanted. Close follows the
	// last Write, also of a file that could not be read to its end. An error ends the reading.
	Inspect(File) (io.WriteCloser, error)
}

// errChanged is returned when the second pass does not find what the first has seen.
var errChanged = errors.New("layer is not what it was a moment ago; is somebody writing to it?")

// Read shows the content of every file of the tree to the inspectors, one file after the other. It
// returns at the first error, theirs included.
func (t *Tree) Read(ctx context.Context, img *image.Image, inspectors []Inspector, progress func(bytes int)) error {
	r := &contents{inspectors: inspectors, buffer: make([]byte, 256<<10)}
	left := t.inodes
	for i, layer := range img.Layers {
		n := 0
		for n < len(left) && left[n].layer == i {
			n++
		}
		if n == 0 {
			progress(int(layer.Size)) // all of it is overridden
			continue
		}
		archive, err := layer.Open(ctx, progress)
		if err != nil {
			return err
		}
		err = r.layer(archive, left[:n])
		archive.Close()
		if err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(img.Layers), err)
		}
		left = left[n:]
	}
	return nil
}

// Files is how many regular files the tree has, each counted once however many names it has.
func (t *Tree) Files() int { return len(t.inodes) }

// contents reads the content of files.
type contents struct {
	inspectors []Inspector
	buffer     []byte
}

func (c *contents) layer(archive io.Reader, files []*inode) error {
	reader := tar.NewReader(archive)
	for entry := 0; len(files) > 0; entry++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return errChanged
		}
		if err != nil {
			return err
		}
		if files[0].entry != entry {
			continue
		}
		if header.Size != files[0].size {
			return errChanged
		}
		if err := c.file(reader, files[0]); err != nil {
			return err
		}
		files = files[1:]
	}
	_, err := io.Copy(io.Discard, archive)
	return err
}

func (c *contents) file(content io.Reader, i *inode) error {
	file, err := i.describe()
	if err != nil {
		return err
	}
	var writers []io.WriteCloser
	for _, inspector := range c.inspectors {
		var w io.WriteCloser
		if w, err = inspector.Inspect(file); err != nil {
			break
		}
		if w != nil {
			writers = append(writers, w)
		}
	}
	if err == nil && len(writers) > 0 {
		err = c.copy(content, writers)
	}
	for _, w := range writers {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return fmt.Errorf("file %q: %w", file.Path, err)
	}
	return nil
}

func (c *contents) copy(content io.Reader, writers []io.WriteCloser) error {
	for {
		n, err := content.Read(c.buffer)
		for _, w := range writers {
			if _, writeErr := w.Write(c.buffer[:n]); writeErr != nil {
				return writeErr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
