// Package worktree says at which git commit directories are, and whether there is
// more in them than in that commit; it tells the commits between two states of them, and
// gets the files of one.
//
// It asks git once for a work tree, however many of its directories are asked about.
// Git's own rule that it works on nobody else's repository is kept: root asks as the
// owner of the work tree, so that what such a repository has git execute is executed
// by its owner. No repository is written to.
package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// State is what git says of a directory.
type State struct {
	Root   string // of the work tree, absolute, without links
	Commit string // the one that is checked out, 40 hexadecimal digits or more
	Dirty  bool   // files of the directory are not as they are in Commit, or not in it
}

// bound is how long git may take for one question: seconds for the largest of work trees.
const bound = 30 * time.Second

// States returns the states of dirs by the names given. A directory that is in no work
// tree, or whose work tree has no commit yet, is not among them. The error tells of the
// work trees that git could say nothing about; what is known of the others is returned with it.
func States(ctx context.Context, dirs []string) (map[string]State, error) {
	trees := map[string][]place{}
	for _, dir := range dirs {
		if root, inside, ok := find(dir); ok {
			trees[root] = append(trees[root], place{dir, inside})
		}
	}
	states := map[string]State{}
	var errs []error
	for root, places := range trees {
		if err := look(ctx, root, places, states); err != nil {
			errs = append(errs, fmt.Errorf("ask git about %s: %w", root, err))
		}
	}
	return states, errors.Join(errs...)
}

// place is a directory of a work tree.
type place struct {
	dir    string // as it was given
	inside string // relative to the root, with slashes
}

// find looks for the work tree that dir is in.
func find(dir string) (root, inside string, ok bool) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", "", false
	}
	for root = dir; ; root = filepath.Dir(root) {
		if _, err := os.Lstat(filepath.Join(root, ".git")); err == nil {
			inside, err = filepath.Rel(root, dir)
			return root, filepath.ToSlash(inside), err == nil
		}
		if root == filepath.Dir(root) {
			return "", "", false
		}
	}
}

func look(ctx context.Context, root string, places []place, states map[string]State) error {
	head, err := Git(ctx, root, "rev-parse", "--verify", "--quiet", "HEAD")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1 && len(exit.Stderr) == 0:
		return nil // no commit yet
	case err != nil:
		return err
	}
	args := []string{"--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--"}
	changed, err := Git(ctx, root, append(args, pathsOf(places)...)...)
	if err != nil {
		return err
	}
	for _, p := range places {
		states[p.dir] = State{Root: root, Commit: strings.TrimSpace(string(head)), Dirty: concerns(changed, p.inside)}
	}
	return nil
}

// maxPaths is how many directories git is given by name; with more it looks at all of the work tree.
const maxPaths = 100

func pathsOf(places []place) []string {
	if len(places) > maxPaths {
		return []string{"."}
	}
	var paths []string
	for _, p := range places {
		paths = append(paths, ":(top,literal)"+p.inside)
	}
	return paths
}

// concerns says whether one of the changed files, as git status -z lists them, is in a
// directory, or is one that the directory is in: git lists an untracked directory alone.
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

// Git runs git in a directory of a work tree, as its owner when we are root, and returns
// what it prints. It asks nobody anything, and takes no longer than half a minute.
func Git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	return gitWith(ctx, dir, nil, args...)
}

// gitWith is Git with something to read; nil: nothing.
func gitWith(ctx context.Context, dir string, input io.Reader, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	cmd, err := command(ctx, dir, args...)
	if err != nil {
		return nil, err
	}
	cmd.Stdin = input
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		first, _, _ := strings.Cut(string(exit.Stderr), "\n")
		return nil, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, first)
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// command is git in a directory of a work tree, as its owner when we are root. What a partial
// clone does not have it does not fetch.
func command(ctx context.Context, dir string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(environment(), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	return cmd, asOwner(cmd, dir)
}

// environment is ours without what points git to another repository, as in a hook.
func environment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GIT_") {
			env = append(env, pair)
		}
	}
	return env
}

// asOwner makes root run cmd as the owner of dir.
func asOwner(cmd *exec.Cmd, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	cmd.Env = append(cmd.Env, "HOME=/nonexistent") // root's is not theirs to read
	return nil
}
