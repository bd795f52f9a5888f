// Package scratch answers: where does that stand which does not fit into memory?
package scratch

import (
	"fmt"
	"os"
)

// DefaultFolder is where files go when nothing else is said. /tmp is memory on many machines.
func DefaultFolder() string {
	if folder := os.Getenv("TMPDIR"); folder != "" {
		return folder
	}
	return "/var/tmp"
}

// File makes a file without a name in the folder: it is gone with the process, however that ends.
func File(folder string) (*os.File, error) {
	file, err := os.CreateTemp(folder, "portcullis-scan-")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w; choose a folder on disk with --temp", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return file, nil
}
