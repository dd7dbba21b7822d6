package buildcontext

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moby/patternmatcher"
)

// inode is a file on this machine, whatever its names.
type inode struct{ device, number uint64 }

// walker collects the entries of a context.
type walker struct {
	ctx     context.Context
	dir     string
	ignore  *ignoreRules
	keep    map[string]bool  // paths that are sent even when they are ignored
	links   map[inode]*entry // the first name of each file that has several
	pending []*entry         // ignored directories above the one being read: sent when something below them is
	entries []*entry
}

func (w *walker) walk() error {
	return w.folder("", patternmatcher.MatchInfo{})
}

// folder collects what is in a directory, in the order of the names' bytes.
func (w *walker) folder(folder string, above patternmatcher.MatchInfo) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	found, err := os.ReadDir(filepath.Join(w.dir, folder))
	if errors.Is(err, fs.ErrPermission) && w.passing(folder) {
		return nil // nobody asked for what is in it
	}
	if err != nil {
		return unreadable(err)
	}
	for _, f := range found {
		if err := w.found(path.Join(folder, f.Name()), f, above); err != nil {
			return err
		}
	}
	return nil
}

// passing says that a directory is ignored, and looked at only for exceptions.
func (w *walker) passing(folder string) bool {
	n := len(w.pending)
	return n > 0 && w.pending[n-1].path == folder
}

// found decides on an entry, and on what is below it.
func (w *walker) found(name string, f fs.DirEntry, above patternmatcher.MatchInfo) error {
	ignored, match, err := w.ignore.matches(name, above)
	if err != nil {
		return err
	}
	ignored = ignored && !w.keep[name]
	if ignored && (!f.IsDir() || !w.wantedBelow(name)) || f.Type() == fs.ModeSocket {
		return nil
	}
	e, err := w.look(name, f)
	if err != nil {
		return err
	}
	if !ignored {
		w.entries = append(append(w.entries, w.pending...), e)
		w.pending = w.pending[:0]
	}
	if e.kind != fs.ModeDir {
		return nil
	}
	if !ignored {
		return w.folder(name, match)
	}
	w.pending = append(w.pending, e)
	err = w.folder(name, match)
	if w.passing(name) {
		w.pending = w.pending[:len(w.pending)-1] // nothing below it was sent
	}
	return err
}

// wantedBelow says whether something below an ignored directory may be sent.
func (w *walker) wantedBelow(folder string) bool {
	for name := range w.keep {
		if strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return w.ignore.exceptionBelow(folder)
}

// look makes the entry of a name.
func (w *walker) look(name string, f fs.DirEntry) (*entry, error) {
	info, err := f.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, changed(&entry{path: name})
	}
	if err != nil {
		return nil, unreadable(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	e := &entry{path: name, kind: info.Mode().Type(), perm: stat.Mode & 0o7777}
	switch {
	case e.kind == 0:
		if stat.Nlink > 1 && !w.keep[name] {
			w.link(e, inode{stat.Dev, stat.Ino})
		}
	case e.kind == fs.ModeSymlink:
		if e.link, err = os.Readlink(filepath.Join(w.dir, name)); err != nil {
			return nil, unreadable(err)
		}
	case e.kind&fs.ModeDevice != 0:
		e.device = stat.Rdev
	case e.kind != fs.ModeDir && e.kind != fs.ModeNamedPipe:
		return nil, fmt.Errorf("%q: no builder knows what it is (%s)", name, e.kind)
	}
	return e, nil
}

// link remembers the first name of a file, and gives the others to it.
func (w *walker) link(e *entry, file inode) {
	if first := w.links[file]; first != nil {
		e.first = first
		return
	}
	w.links[file] = e
}
