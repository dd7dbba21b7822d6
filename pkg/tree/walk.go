package tree

import (
	"context"
	"errors"
	"io/fs"
	"path"
)

// maxOpen is how many folders above an entry stay open while it is visited.
const maxOpen = 32

// Visit is called by Walk for each entry, which is valid until it returns. If err is not nil, the entry
// could not be opened and has only a path; or it is a folder that could not be read, and is visited for
// the second time.
type Visit func(e *Entry, err error) error

// Walk visits the root and all that is below it, a folder before its entries, and these in the order of
// the bytes of their names. If visit returns fs.SkipDir, Walk does not enter that folder; any other
// error ends it, and so does the end of ctx, with its cause.
func (t *Tree) Walk(ctx context.Context, visit Visit) error {
	root, err := t.Lookup(".")
	if err != nil {
		return err
	}
	defer root.Close()
	w := &walk{ctx, t, visit}
	return w.entry(root, 0)
}

// walk is the course of one Walk.
type walk struct {
	ctx   context.Context
	tree  *Tree
	visit Visit
}

// entry visits an entry and all below it.
func (w *walk) entry(e *Entry, depth int) error {
	err := w.visit(e, nil)
	if err == nil && e.Info.IsDir() {
		err = w.folder(e, depth)
	}
	if errors.Is(err, fs.SkipDir) {
		return nil
	}
	return err
}

// folder visits what is in a folder.
func (w *walk) folder(e *Entry, depth int) error {
	names, err := e.names()
	if err != nil {
		return w.visit(e, err)
	}
	for _, name := range names {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if err := w.child(e, name, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// child visits what has that name in a folder.
func (w *walk) child(folder *Entry, base string, depth int) error {
	name := path.Join(folder.Path, base)
	child, err := w.look(folder, base, name)
	if err != nil {
		err = w.visit(&Entry{Path: name}, err)
		if errors.Is(err, fs.SkipDir) {
			return nil
		}
		return err
	}
	defer child.Close()
	if depth <= maxOpen || !child.Info.IsDir() {
		return w.entry(child, depth)
	}
	folder.Close() // few folders stay open, however deep the tree is
	if err := w.entry(child, depth); err != nil {
		return err
	}
	return w.reopen(folder)
}

// look returns what has that name in a folder. Of a file there is only the Info until somebody opens it:
// most of those who walk read few of them.
func (w *walk) look(folder *Entry, base, name string) (*Entry, error) {
	info, err := infoIn(folder.handle, base)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: w.tree.full(name), Err: err}
	}
	e := &Entry{name, info, w.tree, -1, folder}
	if info.IsDir() || info.Mode()&fs.ModeSymlink != 0 {
		err = e.reach()
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// reopen opens a folder again that was closed to have few of them open. It reaches the same place in
// the same guarded way, so it does no harm if another folder is there by now.
func (w *walk) reopen(folder *Entry) error {
	again, err := w.tree.Lookup(folder.Path)
	if err != nil {
		return err
	}
	folder.handle = again.handle
	return nil
}
