package nodeinstall

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const backupSuffix = ".portcullis-backup"

// Change is one file as it is to be.
type Change struct {
	Path   string
	Before []byte // nil where there is no file yet
	After  []byte

	kubelet bool
	edit    *Edit
}

func (m *Machine) full(path string) string { return files{root: m.Root}.full(path) }

// apply makes the change. What stood there is moved aside as it is, with its owner, its times and its
// labels, so that it can be moved back. Done twice, it is done once.
func (m *Machine) apply(c Change, f *File) error {
	path := m.full(c.Path)
	now, err := os.ReadFile(path)
	there := err == nil
	switch {
	case there && digest(now) == f.After:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case there != (c.Before != nil), there && !bytes.Equal(now, c.Before):
		return fmt.Errorf("%s was changed by someone else in this moment; it was not overwritten", c.Path)
	case !there:
		return m.make(path, c.After)
	}
	if f.Before != "" {
		if err := keep(path, m.full(f.Backup), f.Before); err != nil {
			return err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return replaceFile(path, c.After, info.Mode().Perm(), &path)
}

func (m *Machine) make(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as folders of units are
		return err
	}
	return replaceFile(path, data, 0o644, nil)
}

// keep makes backup the very file at path: a hard link or, where there are none, a copy.
func keep(path, backup, want string) error {
	if old, err := os.ReadFile(backup); err == nil {
		if digest(old) == want {
			return nil // a run that was cut short got as far as this
		}
		if err := os.Remove(backup); err != nil {
			return err
		}
	}
	if err := os.Link(path, backup); err == nil {
		return syncFolder(filepath.Dir(backup))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return replaceFile(backup, data, info.Mode().Perm(), &path)
}

// restore takes a change back, and says whether it could. What others have changed since stays.
func (m *Machine) restore(f *File) error {
	path := m.full(f.Path)
	now, err := os.ReadFile(path)
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return err
	}
	switch {
	case gone && f.Before == "", !gone && digest(now) == f.Before:
		return m.dropBackup(f)
	case gone && f.Kubelet && f.Edit != nil:
		return m.unbackup(f, path) // without it the kubelet might not start
	case gone:
		m.Say("%s was removed by someone else; it stays so", f.Path)
		return m.dropBackup(f)
	case digest(now) == f.After && f.Before == "":
		if err := os.Remove(path); err != nil {
			return err
		}
		return syncFolder(filepath.Dir(path))
	case digest(now) == f.After:
		return m.unbackup(f, path)
	case f.Edit != nil:
		return m.reverse(f, path, now)
	}
	m.Say("%s was changed since the install; it is left. It is not needed any more: rm %s", f.Path, f.Path)
	return nil
}

// unbackup moves back what stood there.
func (m *Machine) unbackup(f *File, path string) error {
	backup := m.full(f.Backup)
	data, err := os.ReadFile(backup)
	if err != nil || digest(data) != f.Before {
		now, readErr := os.ReadFile(path)
		if f.Edit == nil || readErr != nil {
			return fmt.Errorf("%s cannot be put back, for its backup %s is missing or was changed; restore it by hand", f.Path, f.Backup)
		}
		m.Say("%s is missing or was changed; only the endpoint is put back in %s", f.Backup, f.Path)
		return m.reverse(f, path, now)
	}
	if err := os.Rename(backup, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// reverse undoes our edit in a file that others have changed too.
func (m *Machine) reverse(f *File, path string, now []byte) error {
	edited, err := f.Edit.reverse(f.Path, now)
	if err != nil {
		return err
	}
	if edited == nil {
		m.Say("%s was changed since the install and does not name portcullisd any more; it is left", f.Path)
		return m.dropBackup(f)
	}
	m.Say("%s was changed since the install; only the endpoint is put back", f.Path)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := replaceFile(path, edited, info.Mode().Perm(), &path); err != nil {
		return err
	}
	return m.dropBackup(f)
}

// reverse returns data with the endpoint as it was, nil where it is not ours any more.
func (e *Edit) reverse(path string, data []byte) ([]byte, error) {
	if e.Flag {
		return replaceFlagIf(data, e.Was, func(value string) bool { return value == e.Now }), nil
	}
	c, err := parseConfig(path, data)
	if err != nil {
		return nil, err
	}
	if c.doc.Scalar(endpointKey) != e.Now {
		return nil, nil
	}
	if e.Was == "" {
		return c.unset(e.Now)
	}
	return c.set(e.Was)
}

func (m *Machine) dropBackup(f *File) error {
	if f.Backup == "" {
		return nil
	}
	err := os.Remove(m.full(f.Backup))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// replaceFile writes a file in one step, and for good. like names a file whose owner and labels it gets.
func replaceFile(path string, data []byte, mode fs.FileMode, like *string) error {
	folder := filepath.Dir(path)
	temporary, err := os.CreateTemp(folder, ".portcullis-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // it has been renamed when all went well
	_, err = bytes.NewReader(data).WriteTo(temporary)
	if err == nil && like != nil {
		err = copyAttributes(*like, temporary)
	}
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// copyAttributes gives to the owner and the extended attributes of the file at from: a kubelet under
// SELinux reads no file without its label.
func copyAttributes(from string, to *os.File) error {
	var info unix.Stat_t
	if err := unix.Stat(from, &info); err != nil {
		return err
	}
	if err := to.Chown(int(info.Uid), int(info.Gid)); err != nil {
		return err
	}
	names := make([]byte, 1<<16)
	n, err := unix.Listxattr(from, names)
	if err != nil {
		return nil // this file system has none
	}
	for name := range bytes.SplitSeq(bytes.TrimRight(names[:n], "\x00"), []byte{0}) {
		value := make([]byte, 1<<16)
		n, err := unix.Getxattr(from, string(name), value)
		if err != nil {
			continue
		}
		err = unix.Fsetxattr(int(to.Fd()), string(name), value[:n], 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("attribute %s of %s: %w", name, from, err)
		}
	}
	return nil
}

// syncFolder makes sure that a name given or taken in it survives a loss of power.
func syncFolder(folder string) error {
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
