// Package durable answers: is the file that was kept for the next start whole, and of this version?
package durable

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrUnusable says that a file is damaged, or was written by another version.
var ErrUnusable = errors.New("file is damaged or of another version")

// Write replaces the file at path, of this kind, by what write writes, so that after a crash either the
// old or the new content is there, whole. Kind names what the file holds and its version.
func Write(path, kind string, write func(io.Writer) error) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // fails when all went well
	if err := errors.Join(fill(temporary, kind, write), temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func fill(file io.Writer, kind string, write func(io.Writer) error) error {
	buffered := bufio.NewWriterSize(file, 64<<10)
	sum := sha256.New()
	both := io.MultiWriter(buffered, sum)
	if _, err := fmt.Fprintln(both, kind); err != nil {
		return err
	}
	if err := write(both); err != nil {
		return err
	}
	if _, err := buffered.Write(sum.Sum(nil)); err != nil {
		return err
	}
	return buffered.Flush()
}

// Read gives the content of the file at path to read. A file that is not whole or not of this kind gives
// ErrUnusable, and read is not called; a missing one gives fs.ErrNotExist.
func Read(path, kind string, read func(*bufio.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	length, err := verify(file, kind)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	header := int64(len(kind) + 1)
	content := io.NewSectionReader(file, header, length-header)
	if err := read(bufio.NewReaderSize(content, 64<<10)); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrUnusable, err)
	}
	return nil
}

// verify compares the file with the sum at its end, and returns how long it is without that.
func verify(file *os.File, kind string) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	length := info.Size() - sha256.Size
	if length < int64(len(kind)+1) {
		return 0, ErrUnusable
	}
	header := make([]byte, len(kind)+1)
	if _, err := file.ReadAt(header, 0); err != nil {
		return 0, err
	}
	if string(header) != kind+"\n" {
		return 0, ErrUnusable
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, length)); err != nil {
		return 0, err
	}
	written := make([]byte, sha256.Size)
	if _, err := file.ReadAt(written, length); err != nil {
		return 0, err
	}
	if !bytes.Equal(sum.Sum(nil), written) {
		return 0, ErrUnusable
	}
	return length, nil
}
