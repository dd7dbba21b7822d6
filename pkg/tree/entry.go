package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"runtests/pkg/regular"
)

// maxNames is how many entries a folder may have. Their names are in memory at the same time.
const maxNames = 1 << 20

// Entry is something in a tree.
type Entry struct {
	Path string      // relative to the root, with slashes; "." is the root
	Info fs.FileInfo // of the entry itself; nil for one that could not be opened

	tree   *Tree
	handle int    // -1: it has not been opened
	folder *Entry // from where to open it
}

// entry returns the entry of a handle, which it closes if it fails.
func (t *Tree) entry(name string, handle int) (*Entry, error) {
	e := &Entry{Path: name, tree: t, handle: handle}
	if err := e.look(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// look sets Info to that of the handle.
func (e *Entry) look() error {
	info, err := infoOf(e.handle, e.Path)
	if err != nil {
		return &fs.PathError{Op: "stat", Path: e.tree.full(e.Path), Err: err}
	}
	e.Info = info
	return nil
}

// reach opens the handle, unless it is open. Something else may have taken the entry's place: Info is then
// renewed.
func (e *Entry) reach() (err error) {
	if e.handle >= 0 {
		return nil
	}
	if e.handle, err = e.tree.below(e.folder.handle, path.Base(e.Path), e.Path, 0); err != nil {
		return err
	}
	return e.look()
}

// Close closes the entry, once. What Open returned stays open.
func (e *Entry) Close() error { return closeOnce(&e.handle) }

// Open opens a regular file for reading. It fails with regular.ErrNot for anything else. Info is that of what
// was opened.
func (e *Entry) Open() (*File, error) {
	if err := e.reach(); err != nil {
		return nil, err
	}
	if !e.Info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", e.tree.full(e.Path), regular.ErrNot)
	}
	fd, err := e.open(unix.O_NONBLOCK) // do not wait for somebody's lease on the file (fcntl(2))
	if err != nil {
		return nil, err
	}
	return &File{e, fd}, nil
}

// Readlink returns the target of a symbolic link.
func (e *Entry) Readlink() (string, error) {
	if err := e.reach(); err != nil {
		return "", err
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(e.handle, "", target)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: e.tree.full(e.Path), Err: err}
	}
	return string(target[:n]), nil
}

// names returns the names in a folder, sorted by their bytes.
func (e *Entry) names() ([]string, error) {
	fd, err := e.open(unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	folder := os.NewFile(uintptr(fd), e.tree.full(e.Path))
	defer folder.Close()
	names, err := folder.Readdirnames(maxNames + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxNames {
		return nil, fmt.Errorf("%s: it has more than %d entries", folder.Name(), maxNames)
	}
	slices.Sort(names)
	return names, nil
}

// open opens what the handle is of for reading, whatever has its name by now.
func (e *Entry) open(flags int) (int, error) {
	name := strconv.Itoa(e.handle)
	fd, err := patient(func() (int, error) {
		return unix.Openat(e.tree.handles, name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: e.tree.full(e.Path), Err: err}
	}
	return fd, nil
}

// File is the content of a regular file. (An os.File would first try to poll it, for each of thousands.)
type File struct {
	entry *Entry
	fd    int
}

// Name returns the path of the file.
func (f *File) Name() string { return f.entry.tree.full(f.entry.Path) }

// Read reads from the file.
func (f *File) Read(p []byte) (int, error) {
	n, err := patient(func() (int, error) { return unix.Read(f.fd, p) })
	switch {
	case err != nil:
		return 0, &fs.PathError{Op: "read", Path: f.Name(), Err: err}
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Close closes the file.
func (f *File) Close() error { return unix.Close(f.fd) }
