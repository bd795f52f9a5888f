package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is a small file system of its own, in memory, which a test fills.
type Disk struct{ path string }

// MountDisk puts an empty file system of so many bytes on a folder.
func MountDisk(path string, size int64) (*Disk, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("mounting a disk: %w", err)
	}
	if err := mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("mode=700,size=%d", size)); err != nil {
		return nil, err
	}
	return &Disk{path}, nil
}

func (d *Disk) filler() string { return filepath.Join(d.path, "filler") }

// Fill leaves no room. Files that are there may still be changed, and the last page of each has a little room
// where the file does not end with it.
func (d *Disk) Fill() error {
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("filling a disk: %w", err)
	}
	for page := make([]byte, os.Getpagesize()); err == nil; {
		_, err = file.Write(page)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("filling a disk: %w", err)
	}
	return nil
}

// MakeRoom undoes Fill.
func (d *Disk) MakeRoom() error {
	if err := os.Remove(d.filler()); err != nil {
		return fmt.Errorf("making room on a disk: %w", err)
	}
	return nil
}

// Unmount removes the file system with all that it holds, which nobody may use any more.
func (d *Disk) Unmount() error {
	if err := syscall.Unmount(d.path, 0); err != nil {
		return fmt.Errorf("unmounting %s: %w", d.path, err)
	}
	return nil
}
