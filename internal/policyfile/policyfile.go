// Package policyfile answers: which policy documents stand in this file or folder?
package policyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"portcullis/internal/strictyaml"
	"portcullis/policy"
)

// MaxTotal bounds all files of a folder together, in bytes.
const MaxTotal = 64 << 20

// Read returns the content of the file at path or, for a folder, of every *.yaml and *.yml file in
// it, in the order of their names. Hidden files are left out; links are followed, because mounted
// ConfigMaps are made of them. An empty folder is no mistake: it holds no policies.
func Read(path string) ([]policy.Source, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("policies: %s does not exist; name a YAML file or a folder of them, an empty one for no policies: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	if !info.IsDir() {
		source, err := readFile(path)
		return []policy.Source{source}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	var sources []policy.Source
	total := 0
	for _, e := range entries {
		extension := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || extension != ".yaml" && extension != ".yml" {
			continue
		}
		source, err := readFile(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		if total += len(source.Data); total > MaxTotal {
			return nil, fmt.Errorf("policies: the files in %s are larger than %d bytes together", path, MaxTotal)
		}
		sources = append(sources, source)
	}
	return sources, nil
}

func readFile(path string) (policy.Source, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return policy.Source{}, fmt.Errorf("policies: %w", err)
	case !info.Mode().IsRegular():
		return policy.Source{}, fmt.Errorf("policies: %s is not a regular file", path)
	case info.Size() > strictyaml.MaxSize:
		return policy.Source{}, fmt.Errorf("policies: %s is %d bytes, at most %d are read; split it", path, info.Size(), strictyaml.MaxSize)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return policy.Source{}, fmt.Errorf("policies: %w", err)
	}
	return policy.Source{Name: path, Data: data}, nil
}
