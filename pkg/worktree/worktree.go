// Package worktree finds the git commit of directories and whether they have changes, lists the
// commits between two states, and writes out the files of a commit.
//
// It asks git once per work tree, however many of its directories it is asked about. Root runs git as
// the owner of the work tree, so that what a repository makes git execute runs as its owner: this
// is git's own rule never to work on the repository of somebody else. No repository is written to.
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

// State is the state of a directory in its work tree.
type State struct {
	Root   string // the root of the work tree, absolute, without links
	Commit string // the ID of the commit that is checked out: 40 hexadecimal digits or more
	Dirty  bool   // files of the directory differ from Commit, or are not in it
}

// commandTimeout bounds one git command. The largest work trees need seconds.
const commandTimeout = 30 * time.Second

// States returns the states of dirs, by their names as given. It leaves out a directory that is in
// no work tree, or whose work tree has no commit yet. The error is about the work trees on which git
// failed; the states of the others are returned with it.
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
		if err := addStates(ctx, root, places, states); err != nil {
			errs = append(errs, fmt.Errorf("ask git about %s: %w", root, err))
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
		if _, err := os.Lstat(filepath.Join(root, ".git")); err == nil {
			inside, err = filepath.Rel(root, dir)
			return root, filepath.ToSlash(inside), err == nil
		}
		if root == filepath.Dir(root) {
			return "", "", false
		}
	}
}

// addStates adds the states of the places in one work tree to states.
func addStates(ctx context.Context, root string, places []place, states map[string]State) error {
	head, err := git(ctx, root, nil, "rev-parse", "--verify", "--quiet", "HEAD")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 1 && len(exit.Stderr) == 0:
		return nil // no commit yet
	case err != nil:
		return err
	}
	args := []string{"--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--"}
	changed, err := git(ctx, root, nil, append(args, pathsOf(places)...)...)
	if err != nil {
		return err
	}
	for _, p := range places {
		states[p.dir] = State{Root: root, Commit: strings.TrimSpace(string(head)), Dirty: concerns(changed, p.inside)}
	}
	return nil
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
		paths = append(paths, ":(top,literal)"+p.inside)
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

// git runs git in a directory of a work tree, with an input unless that is nil, and returns its
// output.
func git(ctx context.Context, dir string, input io.Reader, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
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

// command returns a git command for a directory of a work tree. If we are root, git runs as the owner
// of the directory. It prompts for nothing and, in a partial clone, fetches nothing.
func command(ctx context.Context, dir string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(environment(), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	return cmd, asOwner(cmd, dir)
}

// environment returns our environment without the variables that lead git to another repository, as
// in a hook.
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
	owner, err := ownerOf(dir)
	if err != nil || owner == nil || owner.Uid == 0 {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	cmd.Env = append(cmd.Env, "HOME=/nonexistent") // the owner cannot read root's
	return nil
}

// ownerOf returns the owner of a file, or nil if we are not root and so cannot act for others.
func ownerOf(path string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil
	}
	return &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}, nil
}
