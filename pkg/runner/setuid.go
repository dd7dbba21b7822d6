package runner

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	maxFound    = 100
	maxPending  = 8 << 20 // bytes, of the names of folders that are to be searched
	maxPath     = 4095    // bytes, of a name (PATH_MAX)
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
		addNote(result, "other users of the machine can get the rights of somebody else by %s (setuid, setgid, capabilities or a device): remove it, or find %s -type f -perm /6000 -exec chmod ug-s {} +; or chmod 0700 %s; to prevent it, write mount: copy",
			plain.Clean(joinSome(found)), at, at)
	}
	if !all && ctx.Err() == nil {
		addNote(result, "only a part of %s was searched for programs with setuid: it has too many files", plain.Clean(dir))
	}
}

// findSetuid returns the programs below dir, a path without links, that every user of the machine can
// run with the rights of somebody else: with setuid, setgid or capabilities(7). It also returns devices, which
// are another way to root. Who owns dir does not matter, as root in a container can give it to anybody. It
// follows no links. all is false if a bound ended the search.
func findSetuid(ctx context.Context, dir string, limit int, within time.Duration) (found []string, all bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, true
	}
	defer root.Close()
	if !reachable(dir) {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	s := search{root: root, flags: mountFlags(dir), left: limit, dirs: []string{"."}}
	for len(s.dirs) > 0 && s.left > 0 && ctx.Err() == nil {
		last := len(s.dirs) - 1
		name := s.dirs[last]
		s.dirs, s.pending = s.dirs[:last], s.pending-len(name)
		s.search(ctx, name)
	}
	slices.Sort(s.found)
	for i, name := range s.found {
		s.found[i] = filepath.Join(dir, name)
	}
	return s.found, s.left > 0 && !s.passed && ctx.Err() == nil
}

// search is the state of findSetuid. Its names are relative to root.
type search struct {
	root  *os.Root
	flags int64    // of the mount: ST_NOSUID, ST_NODEV
	left  int      // entries that it may still look at
	dirs  []string // that are to be searched
	found []string // cut to maxShown bytes

	pending int  // bytes of dirs
	passed  bool // a folder was left out
}

// enter adds a folder to those that are to be searched, unless they take too much memory.
func (s *search) enter(name string) {
	if len(name) > maxPath || s.pending+len(name) > maxPending {
		s.passed = true
		return
	}
	s.dirs, s.pending = append(s.dirs, name), s.pending+len(name)
}

// add adds a find. After maxFound the search ends.
func (s *search) add(name string) {
	s.found = append(s.found, strings.Clone(name[:min(len(name), maxShown)]))
	if len(s.found) == maxFound {
		s.left = 0
	}
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
			if ctx.Err() != nil {
				return // each look takes longer the deeper it is
			}
			s.look(opened, dir, entry)
		}
		if err != nil {
			return
		}
	}
}

// look looks at an entry of the folder dir.
func (s *search) look(folder *os.File, dir string, entry fs.DirEntry) {
	if kind := entry.Type(); !kind.IsDir() && !kind.IsRegular() && kind&fs.ModeDevice == 0 {
		return
	}
	name := filepath.Join(dir, entry.Name())
	info, err := s.root.Lstat(name)
	if err != nil {
		return
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		if mode&0o001 != 0 {
			s.enter(name)
		}
	case mode&fs.ModeDevice != 0:
		if mode&0o066 != 0 && s.flags&unix.ST_NODEV == 0 && !isWhiteout(info) {
			s.add(name)
		}
	case s.flags&unix.ST_NOSUID == 0 && givesRights(mode, folder, entry.Name()):
		s.add(name)
	}
}

// givesRights reports whether a file is a program that runs with other rights than those of whoever runs
// it, and that others than its owner can run. Its group may be that of any user.
func givesRights(mode fs.FileMode, folder *os.File, name string) bool {
	if !mode.IsRegular() || mode&0o011 == 0 {
		return false
	}
	if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return true
	}
	_, err := unix.Lgetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), name), "security.capability", nil)
	return err == nil
}

// isWhiteout reports whether a device is the one by which overlay file systems mark what was removed.
func isWhiteout(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Rdev == 0
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

// mountFlags returns how the file system of dir is mounted: some make setuid or devices have no effect.
func mountFlags(dir string) int64 {
	var system unix.Statfs_t
	if unix.Statfs(dir, &system) != nil {
		return 0
	}
	return int64(system.Flags)
}
