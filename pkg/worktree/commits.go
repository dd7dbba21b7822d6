package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"runtests/pkg/plain"
)

// Commit is a commit of a repository.
type Commit struct {
	ID      string
	Date    time.Time // of the commit, not of the author's change
	Author  string
	Subject string
}

// maxWords bounds the author and the subject of a commit, in bytes.
const maxWords = 300

// Between returns the commits that are in the history of to but not in that of from, and that change
// something at or below paths, which are relative to the root of the work tree. The newest comes
// first; there are at most limit. Their texts are cleaned and short. It fails for a repository that
// code under test can write (ErrUntrusted).
func (t Trees) Between(ctx context.Context, root, from, to string, paths []string, limit int) ([]Commit, error) {
	for _, id := range []string{from, to} {
		if !commitID.MatchString(id) {
			return nil, fmt.Errorf("%q is not the ID of a commit", id)
		}
	}
	p, err := t.openTrusted(ctx, root)
	if err != nil {
		return nil, err
	}
	defer p.close()
	args := []string{"log", "-z", "--no-decorate", "--no-color", "--max-count=" + strconv.Itoa(limit), "--format=%H%n%ct%n%an%n%s", from + ".." + to, "--"}
	out, err := p.git(ctx, nil, append(args, paths...)...)
	if err != nil {
		return nil, err
	}
	return parseLog(out)
}

// parseLog reads what git log -z prints: commits of four lines, the ID, the seconds since 1970, the
// author and the subject.
func parseLog(out []byte) (commits []Commit, err error) {
	for text := range bytes.SplitSeq(out, []byte{0}) {
		lines := strings.SplitN(string(text), "\n", 4)
		if len(lines) < 4 {
			continue
		}
		seconds, err := strconv.ParseInt(lines[1], 10, 64)
		if err != nil || !commitID.MatchString(lines[0]) {
			return nil, errors.New("git log: unexpected output")
		}
		commits = append(commits, Commit{ID: lines[0], Date: time.Unix(seconds, 0), Author: words(lines[2]), Subject: words(lines[3])})
	}
	return commits, nil
}

// words returns a text of a stranger, cleaned and cut.
func words(text string) string {
	text = plain.Clean(text)
	if len(text) <= maxWords {
		return text
	}
	return strings.ToValidUTF8(text[:maxWords], "") + "…"
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
