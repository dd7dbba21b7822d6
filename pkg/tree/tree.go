package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPath is the length of the longest path of an entry below the root, in bytes: PATH_MAX of Linux
// without its final NUL (limits.h(0p)).
const maxPath = 4095

// Tree is a directory whose entries are reached without following links.
type Tree struct {
	dir  string
	root *os.File // a handle
}

// Open opens a directory. Links on the way to it are followed: the path is the administrator's.
func Open(dir string) (*Tree, error) {
	root, err := handle(unix.AT_FDCWD, dir, dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &Tree{dir, root}, nil
}

// Close closes the tree.
func (t *Tree) Close() error { return t.root.Close() }

// Lookup returns the entry with that path below the root, in which every folder must be a folder and no
// link; "." is the root. The caller closes the entry.
func (t *Tree) Lookup(name string) (*Entry, error) {
	here, err := t.again()
	if err != nil {
		return nil, err
	}
	if name == "." {
		return t.entry(name, here)
	}
	bases := strings.Split(name, "/")
	for i, base := range bases {
		flags := unix.O_DIRECTORY
		if i == len(bases)-1 {
			flags = 0
		}
		inner, err := t.below(here, base, name, flags)
		here.Close()
		if err != nil {
			return nil, err
		}
		here = inner
	}
	return t.entry(name, here)
}

// again returns another handle of the root.
func (t *Tree) again() (*os.File, error) {
	fd, err := unix.FcntlInt(t.root.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: t.dir, Err: err}
	}
	return os.NewFile(uintptr(fd), t.dir), nil
}

// below returns a handle of an entry of a folder. name is the path of what is looked for, for the error.
func (t *Tree) below(folder *os.File, base, name string, flags int) (*os.File, error) {
	full := filepath.Join(t.dir, name)
	switch {
	case base == "" || base == "." || base == ".." || strings.Contains(base, "/"):
		return nil, &fs.PathError{Op: "open", Path: full, Err: fs.ErrInvalid}
	case len(name) > maxPath:
		return nil, &fs.PathError{Op: "open", Path: full, Err: unix.ENAMETOOLONG}
	}
	return handle(int(folder.Fd()), base, full, flags|unix.O_NOFOLLOW)
}

// handle opens name, relative to the directory dir, as a handle. full is its path for errors.
func handle(dir int, name, full string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
		if errors.Is(err, unix.EINTR) { // possible on network file systems and FUSE
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: full, Err: err}
		}
		return os.NewFile(uintptr(fd), full), nil
	}
}
