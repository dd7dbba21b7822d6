package worktree

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// filesBound is how long getting the files of a commit may take.
const filesBound = 5 * time.Minute

// ErrNeedsGit is what Files' error wraps when only git itself, with what it executes for
// them, could put the files of a commit where they belong: they go through filters, or
// are those of a submodule.
var ErrNeedsGit = errors.New("only git could check them out")

// commitID is a commit as State has it.
var commitID = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

// entry is a file of a commit.
type entry struct {
	mode, id, path string
}

// The modes of a tree's entries.
const (
	modeExecutable = "100755"
	modeLink       = "120000"
	modeSubmodule  = "160000"
)

// Files writes the files of a commit that are at or below paths, which are relative to the
// root of the work tree, with slashes, into the folder into, where they are as below the
// root. They belong to the owner of the work tree when we are root. Of a path that the
// commit does not have there is nothing.
//
// Nothing of the repository is executed, neither hooks nor filters: the contents are those
// that git keeps. Nothing is written to it, and nothing fetched.
func Files(ctx context.Context, root, commit string, paths []string, into string) error {
	if err := files(ctx, root, commit, paths, into); err != nil {
		return fmt.Errorf("get the files of %s from %s: %w", commit, root, err)
	}
	return nil
}

// Same says that two commits have the same files at and below paths, which are as for Files.
func Same(ctx context.Context, root, a, b string, paths []string) (bool, error) {
	var lists [2][]entry
	for i, commit := range []string{a, b} {
		var err error
		if lists[i], err = list(ctx, root, commit, paths); err != nil {
			return false, fmt.Errorf("compare the files of %s and %s: %w", a, b, err)
		}
	}
	return slices.Equal(lists[0], lists[1]), nil
}

func files(ctx context.Context, root, commit string, paths []string, into string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, filesBound)
	defer cancel()
	entries, err := list(ctx, root, commit, paths)
	if err != nil {
		return err
	}
	if err := checkFilters(ctx, root, entries); err != nil {
		return err
	}
	folder, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	w := writer{Root: folder, made: map[string]bool{".": true}, uid: -1}
	if w.uid, w.gid, err = ownerOf(root); err != nil {
		return err
	}
	return copyBlobs(ctx, root, entries, w.write)
}

// list returns the files of a commit that are at or below paths.
func list(ctx context.Context, root, commit string, paths []string) (entries []entry, err error) {
	if !commitID.MatchString(commit) {
		return nil, fmt.Errorf("%q is not the ID of a commit", commit)
	}
	args := []string{"--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--"}
	for _, p := range paths {
		if p == "." {
			args = args[:7] // all of it
			break
		}
		args = append(args, p)
	}
	out, err := Git(ctx, root, args...)
	if err != nil {
		return nil, err
	}
	for line := range bytes.SplitSeq(out, []byte{0}) {
		if len(line) == 0 {
			continue
		}
		about, name, _ := strings.Cut(string(line), "\t") // MODE TYPE ID, a tab, the path
		words := strings.Fields(about)
		if len(words) != 3 {
			return nil, fmt.Errorf("git ls-tree says %q", line)
		}
		if words[0] == modeSubmodule {
			return nil, fmt.Errorf("%s is a submodule: %w", name, ErrNeedsGit)
		}
		entries = append(entries, entry{words[0], words[2], name})
	}
	return entries, nil
}

// filterAttributes are those by which the file on disk is not what git keeps.
var filterAttributes = []string{"filter", "working-tree-encoding", "ident", "eol"}

// checkFilters fails where one of the entries is not on disk what git keeps.
func checkFilters(ctx context.Context, root string, entries []entry) error {
	var names bytes.Buffer
	for _, e := range entries {
		names.WriteString(e.path)
		names.WriteByte(0)
	}
	out, err := gitWith(ctx, root, &names, append([]string{"check-attr", "-z", "--stdin"}, filterAttributes...)...)
	if err != nil {
		return err
	}
	fields := strings.Split(string(out), "\x00") // path, attribute, value, and again
	for i := 0; i+2 < len(fields); i += 3 {
		switch fields[i+2] {
		case "unspecified", "unset", "lf":
		default:
			return fmt.Errorf("%s has the attribute %s=%s: %w", fields[i], fields[i+1], fields[i+2], ErrNeedsGit)
		}
	}
	return nil
}

// copyBlobs gives the contents of entries, one after the other, to write.
func copyBlobs(ctx context.Context, root string, entries []entry, write func(entry, io.Reader) error) error {
	if len(entries) == 0 {
		return nil
	}
	var ids bytes.Buffer
	for _, e := range entries {
		ids.WriteString(e.id + "\n")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // git, when it is not wanted any more
	cmd, err := command(ctx, root, "cat-file", "--batch", "--buffer")
	if err != nil {
		return err
	}
	cmd.Stdin = &ids
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	read := bufio.NewReader(out)
	for _, e := range entries {
		if err = copyBlob(read, e, write); err != nil {
			err = fmt.Errorf("%s: %w", e.path, err)
			cancel()
			break
		}
	}
	if end := cmd.Wait(); err == nil && end != nil {
		err = fmt.Errorf("git cat-file: %w", end)
	}
	return err
}

// copyBlob reads ID TYPE SIZE, a line feed, the content, a line feed.
func copyBlob(read *bufio.Reader, e entry, write func(entry, io.Reader) error) error {
	head, err := read.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(head)
	if len(words) != 3 || words[0] != e.id || words[1] != "blob" {
		return fmt.Errorf("git cat-file says %q", strings.TrimSpace(head))
	}
	size, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return err
	}
	content := io.LimitReader(read, size)
	if err := write(e, content); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return err
	}
	_, err = read.Discard(1)
	return err
}

// writer makes files below a folder, and never outside.
type writer struct {
	*os.Root
	made     map[string]bool // the folders that are there
	uid, gid int             // whom they are to belong to; -1: to us
}

func (w *writer) write(e entry, content io.Reader) error {
	name := filepath.FromSlash(e.path)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q is no path below the root", e.path)
	}
	if err := w.mkdir(path.Dir(e.path)); err != nil {
		return err
	}
	if e.mode == modeLink {
		target, err := io.ReadAll(io.LimitReader(content, syscall.PathMax))
		if err != nil {
			return err
		}
		return errors.Join(w.Symlink(string(target), name), w.give(name))
	}
	mode := os.FileMode(0o644)
	if e.mode == modeExecutable {
		mode = 0o755
	}
	file, err := w.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Chmod(mode), file.Close(), w.give(name)) // whatever the umask
}

// mkdir makes a folder, and those it is in.
func (w *writer) mkdir(dir string) error {
	if w.made[dir] {
		return nil
	}
	if err := w.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	name := filepath.FromSlash(dir)
	w.made[dir] = true
	return errors.Join(w.Mkdir(name, 0o755), w.Chmod(name, 0o755), w.give(name))
}

func (w *writer) give(name string) error {
	if w.uid < 0 {
		return nil
	}
	return w.Lchown(name, w.uid, w.gid)
}

// ownerOf is whom the files of a work tree are to belong to; -1 when we cannot give them away.
func ownerOf(root string) (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return -1, -1, nil
	}
	info, err := os.Stat(root)
	if err != nil {
		return -1, -1, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1, nil
	}
	return int(owner.Uid), int(owner.Gid), nil
}
