package tree

import (
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Finder looks up entries of a tree. It keeps the folder of the last one open, as the next is often beside
// it. It is for one goroutine.
type Finder struct {
	tree   *Tree
	folder string // the path of the folder that is open
	handle int    // of folder; -1: none is open
}

// Finder returns a finder, which the caller closes.
func (t *Tree) Finder() *Finder { return &Finder{tree: t, handle: -1} }

// Close closes the finder.
func (f *Finder) Close() error { return closeOnce(&f.handle) }

// Lookup returns the entry with that path below the root, in which every folder must be a folder and no
// link; "." is the root. The caller closes the entry.
func (f *Finder) Lookup(name string) (*Entry, error) {
	if name == "." {
		root, err := f.tree.again()
		if err != nil {
			return nil, err
		}
		return f.tree.entry(name, root)
	}
	folder, base := path.Split(name)
	if err := f.enter(folder, name); err != nil {
		return nil, err
	}
	found, err := f.tree.below(f.handle, base, name, 0)
	if err != nil {
		return nil, err
	}
	return f.tree.entry(name, found)
}

// enter opens a folder, unless it is open. Its path is empty, or ends with a slash.
func (f *Finder) enter(folder, name string) error {
	if f.handle >= 0 && f.folder == folder {
		return nil
	}
	f.Close()
	here, err := f.tree.again()
	if err != nil {
		return err
	}
	for base := range strings.SplitAfterSeq(folder, "/") {
		if base == "" { // behind the last slash
			break
		}
		inner, err := f.tree.below(here, strings.TrimSuffix(base, "/"), name, unix.O_DIRECTORY)
		unix.Close(here)
		if err != nil {
			return err
		}
		here = inner
	}
	f.folder, f.handle = folder, here
	return nil
}

// again returns another handle of the root.
func (t *Tree) again() (int, error) {
	fd, err := unix.FcntlInt(uintptr(t.root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: t.dir, Err: err}
	}
	return fd, nil
}
