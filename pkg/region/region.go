// Package region says which paths lead through a directory that a container can write. Whoever can
// write a directory can put a link in it; a path that is followed through there leads wherever that
// link says, on this machine and with the rights of whoever follows it.
package region

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is how many links a path may have, as for the kernel (MAXSYMLINKS of Linux).
const maxLinks = 40

// Readlink returns the target of a symbolic link, or an error as os.Readlink does.
type Readlink func(path string) (target string, err error)

// A Set is a set of regions: the directories and files of this machine that containers can write,
// each with all that is below it. A nil *Set has none, whatever is added to it.
type Set struct {
	readlink Readlink
	roots    map[string]bool   // without links, as far as they exist
	of       map[string]string // the root of each region, by its path
}

// New returns the set of the regions at absolute paths. A link on the way to a region is the
// administrator's, and is followed, unless it is in another region: a container may have made it.
func New(readlink Readlink, paths []string) *Set {
	return (&Set{readlink: readlink}).With(paths)
}

// With returns the set with more regions.
func (s *Set) With(paths []string) *Set {
	if s == nil || !slices.ContainsFunc(paths, func(path string) bool { return s.of[path] == "" }) {
		return s
	}
	more := &Set{s.readlink, map[string]bool{}, map[string]string{}}
	maps.Copy(more.roots, s.roots)
	maps.Copy(more.of, s.of)
	for _, path := range slices.Sorted(slices.Values(paths)) { // a directory before what is in it
		more.of[path] = more.Place(path)
		more.roots[more.of[path]] = true
	}
	return more
}

// A LinkError is a link in a region, on the way to a path that is to be used.
type LinkError struct {
	Path string // that is to be used
	Link string
	Err  error // why it could not be examined; nil: it is a link
}

// Error names the link and the path.
func (e *LinkError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s leads through %s, which a test can replace and which cannot be examined: %v", e.Path, e.Link, e.Err)
	}
	if e.Path == e.Link {
		return fmt.Sprintf("%s is a link, which a test or a commit may have made", e.Path)
	}
	return fmt.Sprintf("%s leads through the link %s, which a test or a commit may have made", e.Path, e.Link)
}

// Unwrap returns why the link could not be examined.
func (e *LinkError) Unwrap() error { return e.Err }

// Resolve returns an absolute path without links, as far as it exists. It follows no link in a
// region: the error is then a *LinkError.
func (s *Set) Resolve(path string) (string, error) {
	w := s.walk(path)
	if w.link != nil {
		return "", w.link
	}
	return w.at, nil
}

// Place is like Resolve, but the path that it returns may have links where they are in a region:
// it is the same whatever a container puts there.
func (s *Set) Place(path string) string { return s.walk(path).at }

// Entered returns the roots of the regions that an absolute path leads into, outermost first.
func (s *Set) Entered(path string) []string { return s.walk(path).entered }

// Root returns the root of the region that the set has at path, as Entered names it.
func (s *Set) Root(path string) string { return s.of[path] }

// walk is the way along a path.
type walk struct {
	set     *Set
	at      string   // how far it came, without links outside of regions
	entered []string // the regions on the way
	link    *LinkError
}

// walk follows a path component by component: the links of the administrator, and none in a region.
func (s *Set) walk(path string) walk {
	w := walk{set: s}
	w.enter("/")
	rest, links := components(path), 0
	for len(rest) > 0 {
		next := filepath.Join(w.at, rest[0]) // for .. the parent, as at has no links
		target, err := s.read(next)
		switch {
		case errors.Is(err, syscall.EINVAL): // it is not a link
			w.enter(next)
			rest = rest[1:]
		case s.inside(w.at) && !missing(err):
			w.link = &LinkError{path, next, err}
			return w.end(rest)
		case err != nil || links == maxLinks:
			return w.end(rest)
		default:
			links++
			if filepath.IsAbs(target) {
				w.at = "/"
			}
			rest = append(components(target), rest[1:]...)
		}
	}
	return w
}

// end goes the rest of the way without looking.
func (w walk) end(rest []string) walk {
	for _, component := range rest {
		w.enter(filepath.Join(w.at, component))
	}
	return w
}

func (w *walk) enter(path string) {
	w.at = path
	if w.set != nil && w.set.roots[path] {
		w.entered = append(w.entered, path)
	}
}

// read reads a link. Without regions, it is one of this machine.
func (s *Set) read(path string) (string, error) {
	if s == nil {
		return os.Readlink(path)
	}
	return s.readlink(path)
}

// inside reports whether a path without links is at or below the root of a region.
func (s *Set) inside(path string) bool {
	for s != nil && !s.roots[path] {
		if path == "/" {
			return false
		}
		path = filepath.Dir(path)
	}
	return s != nil
}

// missing reports whether nothing has that name, so that it is not a link either.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// components splits a path, and keeps each ..: what is before it may be a link.
func components(path string) (list []string) {
	for c := range strings.SplitSeq(path, "/") {
		if c != "" && c != "." {
			list = append(list, c)
		}
	}
	return list
}
