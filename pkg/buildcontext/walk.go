package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/moby/patternmatcher"

	"runtests/pkg/tree"
)

// inode identifies a file on this machine, whatever its names.
type inode struct{ device, number uint64 }

// walker collects the entries of a context.
type walker struct {
	ignore  *ignoreRules
	keep    map[string]bool  // paths that are sent even if they are ignored
	links   map[inode]*entry // the first name of each file with several names
	levels  []level          // the directories on the path of the current entry
	entries []*entry
}

// level is a directory whose entries are being collected.
type level struct {
	path   string
	match  patternmatcher.MatchInfo
	unsent *entry // the directory itself if it is ignored, and is sent only with the first entry below it
}

// visit collects an entry, unless it is ignored.
func (w *walker) visit(found *tree.Entry, err error) error {
	if found.Path == "." {
		return unreadable(err)
	}
	if err != nil && found.Info != nil {
		return w.unread(found.Path, err)
	}
	w.leave(path.Dir(found.Path))
	ignored, match, errMatch := w.ignore.matches(found.Path, w.above())
	if errMatch != nil {
		return errMatch
	}
	ignored = ignored && !w.keep[found.Path]
	kind := fs.ModeIrregular
	if err == nil {
		kind = found.Info.Mode().Type()
	}
	if ignored && (kind != fs.ModeDir || !w.wantedBelow(found.Path)) || kind == fs.ModeSocket {
		return fs.SkipDir
	}
	if errors.Is(err, fs.ErrNotExist) {
		return changed(&entry{path: found.Path})
	}
	if err != nil {
		return unreadable(err)
	}
	return w.add(found, ignored, match)
}

// unread returns the error for a directory that could not be read. If it is ignored, and read only for
// exceptions, there is none.
func (w *walker) unread(folder string, err error) error {
	last := w.levels[len(w.levels)-1]
	if errors.Is(err, fs.ErrPermission) && last.path == folder && last.unsent != nil {
		return nil
	}
	return unreadable(err)
}

// leave forgets the directories below folder, whose entries have been collected.
func (w *walker) leave(folder string) {
	for len(w.levels) > 0 && w.levels[len(w.levels)-1].path != folder {
		w.levels = w.levels[:len(w.levels)-1]
	}
}

// above returns the match of the current directory.
func (w *walker) above() patternmatcher.MatchInfo {
	if len(w.levels) == 0 {
		return patternmatcher.MatchInfo{}
	}
	return w.levels[len(w.levels)-1].match
}

// add adds an entry, and the ignored directories that it is in.
func (w *walker) add(found *tree.Entry, ignored bool, match patternmatcher.MatchInfo) error {
	e, err := w.look(found)
	if err != nil {
		return err
	}
	below := level{path: e.path, match: match, unsent: e}
	if !ignored {
		for i := range w.levels {
			if passed := w.levels[i].unsent; passed != nil {
				w.entries = append(w.entries, passed)
				w.levels[i].unsent = nil
			}
		}
		w.entries = append(w.entries, e)
		below.unsent = nil
	}
	if e.kind == fs.ModeDir {
		w.levels = append(w.levels, below)
	}
	return nil
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

// look returns the entry for what was found.
func (w *walker) look(found *tree.Entry) (*entry, error) {
	stat := found.Info.Sys().(*syscall.Stat_t)
	e := &entry{path: found.Path, kind: found.Info.Mode().Type(), perm: stat.Mode & 0o7777}
	switch {
	case e.kind == 0:
		if stat.Nlink > 1 && !w.keep[e.path] {
			w.link(e, inode{stat.Dev, stat.Ino})
		}
	case e.kind == fs.ModeSymlink:
		var err error
		if e.link, err = found.Readlink(); err != nil {
			return nil, unreadable(err)
		}
	case e.kind&fs.ModeDevice != 0:
		e.device = stat.Rdev
	case e.kind != fs.ModeDir && e.kind != fs.ModeNamedPipe:
		return nil, fmt.Errorf("%q: a build cannot have a file of this type (%s)", e.path, e.kind)
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
