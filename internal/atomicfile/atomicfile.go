// Package atomicfile answers: how is a file replaced so that a crash leaves the old or the new one?
package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// unfinished are the names of files that are not complete.
const unfinished = ".new-*"

// Write replaces the file at path, mode 0600. When it returns without an error the file is on the disk.
func Write(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // fails when all went well
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// Tidy removes what Write left in the folder when its process was killed. Nobody may be writing there.
func Tidy(folder string) error {
	leftovers, err := filepath.Glob(filepath.Join(folder, unfinished))
	for _, path := range leftovers {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// SyncFolder waits until what was created, renamed and removed in the folder is on the disk.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
