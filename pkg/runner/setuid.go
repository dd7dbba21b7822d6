package runner

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"al.essio.dev/pkg/shellescape"
	"golang.org/x/sys/unix"

	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// The bounds of a search for programs that give others the rights of their owner.
const (
	maxSearched = 100_000 // entries
	searchTime  = 5 * time.Second
	maxShown    = 200 // bytes, of a name
)

// noteSetuid notes programs with setuid or setgid that a test has left where every user of this
// machine can run them. It changes nothing. Where the engine is on another machine, it looks at
// what this one has in that place.
func (r *Runner) noteSetuid(ctx context.Context, step suite.Step, result *report.Result) {
	if step.Mount != suite.ReadWrite {
		return
	}
	dir, err := r.config.Regions.Resolve(step.Dir)
	if err != nil {
		return // guard reports it
	}
	found, all := findSetuid(ctx, dir, maxSearched, searchTime)
	if len(found) > 0 {
		at := plain.Clean(shellescape.Quote(dir))
		addNote(result, "every user of the machine can run %s with the rights of its owner: find %s -type f -perm /6000 -exec chmod ug-s {} +; or chmod 0700 %s; to prevent it, write mount: copy or user: owner",
			plain.Clean(joinSome(found)), at, at)
	}
	if !all && ctx.Err() == nil {
		addNote(result, "only a part of %s was searched for programs with setuid: it has too many files", plain.Clean(dir))
	}
}

// findSetuid returns the programs below dir, a path without links, that every user of the machine can
// run with the rights of somebody else than the owner of dir: of root, or another user or group. It
// follows no links. all is false if a bound ended the search.
func findSetuid(ctx context.Context, dir string, limit int, within time.Duration) (found []string, all bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, true
	}
	defer root.Close()
	home, err := root.Stat(".")
	if err != nil || !reachable(dir) || ignoresSetuid(dir) {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	s := search{root: root, home: home, left: limit, dirs: []string{"."}}
	for len(s.dirs) > 0 && s.left > 0 && ctx.Err() == nil {
		last := len(s.dirs) - 1
		name := s.dirs[last]
		s.dirs = s.dirs[:last]
		s.search(ctx, name)
	}
	slices.Sort(s.found)
	for i, name := range s.found {
		s.found[i] = filepath.Join(dir, name[:min(len(name), maxShown)])
	}
	return s.found, s.left > 0 && ctx.Err() == nil
}

// search is the state of findSetuid. Its names are relative to root.
type search struct {
	root  *os.Root
	home  fs.FileInfo // of root
	left  int         // entries that it may still look at
	dirs  []string    // that are to be searched
	found []string
}

// search looks at the entries of one directory, a few at a time: there may be millions.
func (s *search) search(ctx context.Context, dir string) {
	opened, err := s.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return // it is gone, or this user cannot read it
	}
	defer opened.Close()
	for s.left > 0 && ctx.Err() == nil {
		entries, err := opened.ReadDir(256)
		for _, entry := range entries {
			s.left--
			s.look(filepath.Join(dir, entry.Name()), entry.Type())
		}
		if err != nil {
			return
		}
	}
}

func (s *search) look(name string, kind fs.FileMode) {
	if !kind.IsDir() && !kind.IsRegular() {
		return
	}
	info, err := s.root.Lstat(name)
	switch {
	case err != nil:
	case info.IsDir() && info.Mode()&0o001 != 0:
		s.dirs = append(s.dirs, name)
	case givesRights(info, s.home):
		s.found = append(s.found, name)
	}
}

// givesRights reports whether a file is a program that everybody can run with the rights of root, or
// of another user or group than those of the directory.
func givesRights(file, dir fs.FileInfo) bool {
	mode := file.Mode()
	of, ok := file.Sys().(*syscall.Stat_t)
	home, known := dir.Sys().(*syscall.Stat_t)
	if !mode.IsRegular() || mode&0o001 == 0 || !ok || !known {
		return false
	}
	return mode&fs.ModeSetuid != 0 && (of.Uid == 0 || of.Uid != home.Uid) ||
		mode&fs.ModeSetgid != 0 && (of.Gid == 0 || of.Gid != home.Gid)
}

// reachable reports whether every user can enter dir: it and all directories above it.
func reachable(dir string) bool {
	for {
		if info, err := os.Lstat(dir); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// ignoresSetuid reports whether the file system of dir is mounted so that setuid has no effect.
func ignoresSetuid(dir string) bool {
	var system unix.Statfs_t
	return unix.Statfs(dir, &system) == nil && system.Flags&unix.ST_NOSUID != 0
}
