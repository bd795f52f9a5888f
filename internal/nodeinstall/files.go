package nodeinstall

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// maxFile bounds every file that is read; those of the kubelet are some thousand bytes.
const maxFile = 4 << 20

// files is the node's file system below root, as it would be with the changes of overlay made.
type files struct {
	root    string
	overlay map[string][]byte
}

func (f files) full(path string) string { return filepath.Join(f.root, path) }

func (f files) read(path string) ([]byte, error) {
	if data, ok := f.overlay[path]; ok {
		return data, nil
	}
	file, err := os.Open(f.full(path))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}

// readIfThere returns nil for a file that does not exist.
func (f files) readIfThere(path string) ([]byte, error) {
	data, err := f.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (f files) exists(path string) bool {
	_, err := f.read(path)
	return err == nil
}

// list returns the sorted names in a folder that match pattern.
func (f files) list(folder, pattern string) []string {
	names := map[string]bool{}
	found, _ := filepath.Glob(filepath.Join(f.full(folder), pattern)) // fails for a malformed pattern only
	for _, path := range found {
		names[filepath.Base(path)] = true
	}
	for path := range f.overlay {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok && filepath.Dir(path) == folder {
			names[filepath.Base(path)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// with returns the files as they are once path holds data.
func (f files) with(path string, data []byte) files {
	overlay := maps.Clone(f.overlay)
	if overlay == nil {
		overlay = map[string][]byte{}
	}
	overlay[path] = data
	return files{f.root, overlay}
}
