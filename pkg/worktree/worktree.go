// Package worktree finds the git commit of directories and whether they have changes, lists the
// commits between two states, and writes out the files of a commit.
//
// A repository is a stranger's: code under test may have written it. Its files are read within bounds,
// and nothing that they name is executed: git works with a private directory of ours, which has a
// configuration of ours, and finds only objects and a copy of the index of the repository. See
// private. Root runs git as the owner of the work tree. No repository is written to.
package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Trees reads work trees.
type Trees struct {
	// Writable are the directories that code under test can write: absolute, and with links or without.
	Writable []string

	patience time.Duration // for one git command, default commandTimeout
}

// State is the state of a directory in its work tree.
type State struct {
	Root   string // the root of the work tree, absolute, without links
	Commit string // the ID of the commit that is checked out: 40 hexadecimal digits or more
	Dirty  bool   // files of the directory differ from Commit, or are not in it

	// Untrusted means that code under test can write the repository, so Commit and Dirty are what that
	// code says.
	Untrusted bool
}

// statesTimeout bounds States, so that many slow work trees do not add up.
const statesTimeout = 2 * time.Minute

// States returns the states of dirs, by their names as given. It leaves out a directory that is in
// no work tree, or whose work tree has no commit yet. The error is about the work trees that could not
// be read; the states of the others are returned with it.
func (t Trees) States(ctx context.Context, dirs []string) (map[string]State, error) {
	ctx, cancel := context.WithTimeout(ctx, statesTimeout)
	defer cancel()
	removeStale(time.Now())
	trees := map[string][]place{}
	for _, dir := range dirs {
		if root, inside, ok := find(dir); ok {
			trees[root] = append(trees[root], place{dir, inside})
		}
	}
	states := map[string]State{}
	var errs []error
	for root, places := range trees {
		if err := t.addStates(ctx, root, places, states); err != nil {
			errs = append(errs, fmt.Errorf("read the git repository of %s: %w", root, err))
		}
	}
	return states, errors.Join(errs...)
}

// place is a directory in a work tree.
type place struct {
	dir    string // as the caller gave it
	inside string // relative to the root, with slashes
}

// find returns the work tree that dir is in.
func find(dir string) (root, inside string, ok bool) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", "", false
	}
	for root = dir; ; root = filepath.Dir(root) {
		if isRoot(root) {
			inside, err = filepath.Rel(root, dir)
			return root, filepath.ToSlash(inside), err == nil
		}
		if root == filepath.Dir(root) {
			return "", "", false
		}
	}
}

// isRoot reports whether dir is the root of a work tree. Like git, it looks further up if .git is a
// folder without HEAD.
func isRoot(dir string) bool {
	git := filepath.Join(dir, dotGit)
	info, err := os.Lstat(git)
	if err != nil || !info.IsDir() {
		return err == nil
	}
	_, err = os.Lstat(filepath.Join(git, "HEAD"))
	return err == nil
}

// addStates adds the states of the places in one work tree to states.
func (t Trees) addStates(ctx context.Context, root string, places []place, states map[string]State) error {
	r, err := t.open(ctx, root)
	if errors.Is(err, errUnborn) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.close()
	p, err := r.private(withIndex)
	if err != nil {
		return err
	}
	defer p.remove()
	if err = p.addStates(ctx, places, states); err == nil || len(places) == 1 {
		return err
	}
	return p.addEach(ctx, places, states)
}

// addStates adds the states of places to states.
func (p *private) addStates(ctx context.Context, places []place, states map[string]State) error {
	changed, err := p.changed(ctx, places)
	if err != nil {
		return err
	}
	for _, at := range places {
		states[at.dir] = State{Root: p.root, Commit: p.head, Dirty: concerns(changed, at.inside), Untrusted: p.untrusted}
	}
	return nil
}

// addEach adds the states of places one by one, after git failed on all together: one directory, with a
// pipe as .gitignore, must not hide the commits of the others.
func (p *private) addEach(ctx context.Context, places []place, states map[string]State) error {
	var errs []error
	for _, at := range places {
		if err := p.addStates(ctx, []place{at}, states); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at.inside, err))
		}
	}
	if len(errs) == len(places) {
		return errs[0] // it is not about one of them
	}
	return errors.Join(errs...)
}

// changed returns the entries at and below places that differ from the commit, as git status -z
// lists them. It does not look into submodules: git would use their configuration.
func (p *private) changed(ctx context.Context, places []place) ([]byte, error) {
	args := []string{"status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=dirty", "--"}
	changed, err := p.git(ctx, nil, append(args, pathsOf(places)...)...)
	if err != nil {
		return nil, err
	}
	return p.withoutLFS(ctx, changed)
}

// maxPaths is how many directories git is given by name. If there are more, it looks at the whole
// work tree.
const maxPaths = 100

func pathsOf(places []place) []string {
	if len(places) > maxPaths {
		return []string{"."}
	}
	var paths []string
	for _, p := range places {
		paths = append(paths, p.inside)
	}
	return paths
}

// concerns reports whether one of the changed entries, as git status -z lists them, is in a
// directory or above it: git lists an untracked directory without its content.
func concerns(changed []byte, inside string) bool {
	for entry := range bytes.SplitSeq(changed, []byte{0}) {
		if len(entry) < 4 { // two letters, a space, a path
			continue
		}
		path := strings.TrimSuffix(string(entry[3:]), "/")
		if inside == "." || path == inside || strings.HasPrefix(path, inside+"/") || strings.HasPrefix(inside, path+"/") {
			return true
		}
	}
	return false
}

// within reports whether path is one of dirs or below one. It compares the text: neither has links.
func within(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		inside, err := filepath.Rel(dir, path)
		return err == nil && filepath.IsLocal(inside)
	})
}
