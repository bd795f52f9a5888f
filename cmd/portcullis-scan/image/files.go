package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	maxArchiveFiles = 100_000  // an image has a few for each layer
	maxArchiveNames = 16 << 20 // bytes of their names, which have a hundred each
	maxLinks        = 10       // docker save once wrote layers that are links to layers
)

// folder is the folder of an OCI layout. os.Root keeps links in it from leading out of it.
type folder struct{ *os.Root }

func (f folder) open(name string) (io.ReadCloser, error) { return f.Open(name) }

func (f folder) size(name string) int64 {
	info, err := f.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// tarFiles are the files in a tar file, found by one pass over its headers.
type tarFiles struct {
	file  *os.File
	parts map[string]part
	links map[string]string
}

// part is where a file's content stands in the tar file.
type part struct{ offset, size int64 }

func openTar(name string) (*tarFiles, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	archive := &tarFiles{file: file, parts: map[string]part{}, links: map[string]string{}}
	if err := archive.index(); err != nil {
		file.Close()
		return nil, err
	}
	return archive, nil
}

func (t *tarFiles) index() error {
	reader := tar.NewReader(t.file)
	names := 0
	for n := 0; ; n++ {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return t.notTar(err)
		case n == maxArchiveFiles:
			return fmt.Errorf("more than %d files in it: not the archive of an image", maxArchiveFiles)
		}
		if names += len(header.Name) + len(header.Linkname); names > maxArchiveNames {
			return fmt.Errorf("more than %d bytes of names in it: not the archive of an image", maxArchiveNames)
		}
		name := strings.Clone(path.Clean(header.Name)) // the header that it is a part of may be large
		switch header.Typeflag {
		case tar.TypeReg:
			// The reader takes from the file no more than it needs, so this is where the content begins.
			offset, err := t.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			t.parts[name] = part{offset, header.Size}
		case tar.TypeLink:
			t.links[name] = strings.Clone(path.Clean(header.Linkname))
		case tar.TypeSymlink:
			t.links[name] = path.Join(path.Dir(name), header.Linkname) //nolint:gosec // a key of the map of the archive's files
		}
	}
}

func (t *tarFiles) notTar(err error) error {
	magic := make([]byte, 4)
	_, _ = t.file.ReadAt(magic, 0)
	if bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) || bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return errors.New("compressed as a whole: decompress it first (gunzip, unzstd)")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("empty or truncated tar file")
	}
	return fmt.Errorf("not a tar file: %w", err)
}

func (t *tarFiles) find(name string) (part, bool) {
	name = path.Clean(name)
	for range maxLinks {
		target, linked := t.links[name]
		if !linked {
			break
		}
		name = target
	}
	found, ok := t.parts[name]
	return found, ok
}

func (t *tarFiles) open(name string) (io.ReadCloser, error) {
	found, ok := t.find(name)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(t.file, found.offset, found.size)), nil
}

func (t *tarFiles) size(name string) int64 {
	found, _ := t.find(name)
	return found.size
}

func (t *tarFiles) Close() error { return t.file.Close() }
