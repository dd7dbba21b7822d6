package tree

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"runtests/pkg/hint"
)

// maxPath is the length of the longest path of an entry below the root, in bytes: PATH_MAX of Linux
// without its final NUL (limits.h(0p)).
const maxPath = 4095

// openHandles has a name for each handle, by which what it is a handle of can be opened (proc(5)).
const openHandles = "/proc/self/fd"

// Tree is a directory whose entries are reached without following links. It can be used by several
// goroutines.
type Tree struct {
	dir     string
	root    int // a handle
	handles int // a handle of openHandles
}

// Open opens a directory. Links on the way to it are followed: the path is the administrator's. The
// caller closes the tree.
func Open(dir string) (*Tree, error) {
	handles, err := handle(unix.AT_FDCWD, openHandles, openHandles, unix.O_DIRECTORY)
	if err != nil {
		return nil, hint.Wrap(err, "mount /proc")
	}
	root, err := handle(unix.AT_FDCWD, dir, dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, errors.Join(err, closeOnce(&handles))
	}
	return &Tree{dir, root, handles}, nil
}

// Close closes the tree.
func (t *Tree) Close() error { return errors.Join(closeOnce(&t.root), closeOnce(&t.handles)) }

// Lookup is that of a Finder.
func (t *Tree) Lookup(name string) (*Entry, error) {
	f := t.Finder()
	defer f.Close()
	return f.Lookup(name)
}

// below returns a handle of an entry of a folder. name is the path of what is looked for, for the error.
func (t *Tree) below(folder int, base, name string, flags int) (int, error) {
	var err error
	switch {
	case base == "" || base == "." || base == ".." || strings.Contains(base, "/"):
		err = fs.ErrInvalid
	case len(name) > maxPath:
		err = unix.ENAMETOOLONG
	default:
		return handle(folder, base, t.full(name), flags|unix.O_NOFOLLOW)
	}
	return -1, &fs.PathError{Op: "open", Path: t.full(name), Err: err}
}

// full returns the path of an entry for errors.
func (t *Tree) full(name string) string { return filepath.Join(t.dir, name) }

// handle opens name, relative to a folder, as a handle. full is its path for errors.
func handle(folder int, name, full string, flags int) (int, error) {
	fd, err := patient(func() (int, error) { return unix.Openat(folder, name, unix.O_PATH|unix.O_CLOEXEC|flags, 0) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: full, Err: err}
	}
	return fd, nil
}

// closeOnce closes a handle, and forgets it: the next file may have the same number.
func closeOnce(handle *int) error {
	if *handle < 0 {
		return nil
	}
	err := unix.Close(*handle)
	*handle = -1
	return err
}

// patient repeats a call that a signal interrupted, as happens on network file systems and FUSE.
func patient(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
