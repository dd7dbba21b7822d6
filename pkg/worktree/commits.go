package worktree

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Commit is a commit of a repository.
type Commit struct {
	ID      string
	Date    time.Time // of the commit, not of the author's change
	Author  string
	Subject string
}

// Between returns the commits that are in the history of to but not in that of from, and that change
// something at or below paths, which are relative to the root of the work tree. The newest comes
// first; there are at most limit.
func Between(ctx context.Context, root, from, to string, paths []string, limit int) ([]Commit, error) {
	for _, id := range []string{from, to} {
		if !commitID.MatchString(id) {
			return nil, fmt.Errorf("%q is not the ID of a commit", id)
		}
	}
	args := []string{
		"-c", "log.showSignature=false", "--literal-pathspecs", "log", "-z", "--no-decorate", "--max-count=" + strconv.Itoa(limit),
		"--format=%H%n%ct%n%an%n%s", from + ".." + to, "--",
	}
	out, err := git(ctx, root, nil, append(args, paths...)...)
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for text := range bytes.SplitSeq(out, []byte{0}) {
		lines := strings.SplitN(string(text), "\n", 4)
		if len(lines) < 4 {
			continue
		}
		seconds, err := strconv.ParseInt(lines[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("unexpected output of git log: %q", text)
		}
		commits = append(commits, Commit{
			ID: lines[0], Date: time.Unix(seconds, 0), Author: strings.ToValidUTF8(lines[2], "\ufffd"), Subject: strings.ToValidUTF8(lines[3], "\ufffd"),
		})
	}
	return commits, nil
}

// Inside returns file relative to the work tree root, with slashes; ok is false if it is not in the
// work tree. It follows links in file; root must not contain any.
func Inside(root, file string) (inside string, ok bool) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "", false
	}
	inside, err = filepath.Rel(root, real)
	if err != nil || !filepath.IsLocal(inside) {
		return "", false
	}
	return filepath.ToSlash(inside), true
}
