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

// inode identifies a file on this machine, whatever its names.
type inode struct{ device, number uint64 }

// walker collects the entries of a context.
type walker struct {
	ctx     context.Context
	dir     string
	ignore  *ignoreRules
	keep    map[string]bool  // paths that are sent even if they are ignored
	links   map[inode]*entry // the first name of each file with several names
	pending []*entry         // ignored directories on the path of the current one, sent with the first entry below them
	entries []*entry
}

func (w *walker) walk() error {
	return w.folder("", patternmatcher.MatchInfo{})
}

// folder collects the entries of a directory, sorted by the bytes of their names.
func (w *walker) folder(folder string, above patternmatcher.MatchInfo) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	found, err := os.ReadDir(filepath.Join(w.dir, folder))
	if errors.Is(err, fs.ErrPermission) && w.passing(folder) {
		return nil // it is ignored anyway
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

// passing reports whether a directory is ignored, and read only for exceptions.
func (w *walker) passing(folder string) bool {
	n := len(w.pending)
	return n > 0 && w.pending[n-1].path == folder
}

// found collects an entry and those below it, unless they are ignored.
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
		w.pending = w.pending[:len(w.pending)-1] // nothing below it is sent
	}
	return err
}

// wantedBelow reports whether something below an ignored directory may be sent.
func (w *walker) wantedBelow(folder string) bool {
	for name := range w.keep {
		if strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return w.ignore.exceptionBelow(folder)
}

// look returns the entry of a name.
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
		return nil, fmt.Errorf("%q: a build cannot have a file of this type (%s)", name, e.kind)
	}
	return e, nil
}

// link records the first name of a file, and refers its other names to that.
func (w *walker) link(e *entry, file inode) {
	if first := w.links[file]; first != nil {
		e.first = first
		return
	}
	w.links[file] = e
}
