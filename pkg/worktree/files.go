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

// filesTimeout bounds Files.
const filesTimeout = 5 * time.Minute

// ErrNeedsGit is the error of Files if only git itself could write the files of a commit: they go
// through filters, which git executes, or belong to a submodule.
var ErrNeedsGit = errors.New("only git could check them out")

// commitID matches the ID of a commit.
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

// Files writes the files of a commit that are at or below paths into the folder into, with the same
// paths as below the root of the work tree. paths are relative to that root, with slashes; Files
// ignores those that the commit does not have. If we are root, the files belong to the owner of the
// work tree.
//
// Files executes nothing of the repository, neither hooks nor filters: the contents are as git
// stores them. It writes nothing to the repository and fetches nothing.
func Files(ctx context.Context, root, commit string, paths []string, into string) error {
	if err := files(ctx, root, commit, paths, into); err != nil {
		return fmt.Errorf("get the files of %s from %s: %w", commit, root, err)
	}
	return nil
}

// Same reports whether two commits have the same files at and below paths, which are as for Files.
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
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
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
	owner, err := ownerOf(root)
	if err != nil {
		return err
	}
	w := writer{folder, map[string]bool{".": true}, owner}
	return copyBlobs(ctx, root, entries, w.write)
}

// list returns the files of a commit that are at or below paths.
func list(ctx context.Context, root, commit string, paths []string) (entries []entry, err error) {
	if !commitID.MatchString(commit) {
		return nil, fmt.Errorf("%q is not the ID of a commit", commit)
	}
	if slices.Contains(paths, ".") {
		paths = nil // all of the tree
	}
	args := []string{"--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--"}
	out, err := git(ctx, root, nil, append(args, paths...)...)
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
			return nil, fmt.Errorf("unexpected output of git ls-tree: %q", line)
		}
		if words[0] == modeSubmodule {
			return nil, fmt.Errorf("%s is a submodule: %w", name, ErrNeedsGit)
		}
		entries = append(entries, entry{words[0], words[2], name})
	}
	return entries, nil
}

// filterAttributes are the attributes that make a file on disk differ from what git stores.
var filterAttributes = []string{"filter", "working-tree-encoding", "ident", "eol"}

// checkFilters returns an error if a file on disk would not be as git stores it.
func checkFilters(ctx context.Context, root string, entries []entry) error {
	var names bytes.Buffer
	for _, e := range entries {
		names.WriteString(e.path)
		names.WriteByte(0)
	}
	out, err := git(ctx, root, &names, append([]string{"check-attr", "-z", "--stdin"}, filterAttributes...)...)
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

// copyBlobs calls write with the content of each entry.
func copyBlobs(ctx context.Context, root string, entries []entry, write func(entry, io.Reader) error) error {
	if len(entries) == 0 {
		return nil
	}
	var ids bytes.Buffer
	for _, e := range entries {
		ids.WriteString(e.id + "\n")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends git after an error
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
	if failed := cmd.Wait(); err == nil && failed != nil {
		err = fmt.Errorf("git cat-file: %w", failed)
	}
	return err
}

// copyBlob reads an object as git cat-file --batch prints it: ID TYPE SIZE, a line feed, the content,
// a line feed.
func copyBlob(read *bufio.Reader, e entry, write func(entry, io.Reader) error) error {
	head, err := read.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(head)
	if len(words) != 3 || words[0] != e.id || words[1] != "blob" {
		return fmt.Errorf("unexpected output of git cat-file: %q", strings.TrimSpace(head))
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

// writer writes files below a folder, and never outside it.
type writer struct {
	*os.Root
	made  map[string]bool     // the folders that exist
	owner *syscall.Credential // of the files; nil: us
}

func (w *writer) write(e entry, content io.Reader) error {
	name := filepath.FromSlash(e.path)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q is not a path below the root", e.path)
	}
	if err := w.mkdir(path.Dir(e.path)); err != nil {
		return err
	}
	if e.mode == modeLink {
		target, err := io.ReadAll(io.LimitReader(content, syscall.PathMax))
		if err != nil {
			return err
		}
		return errors.Join(w.Symlink(string(target), name), w.chown(name))
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
	return errors.Join(err, file.Chmod(mode), file.Close(), w.chown(name)) // Chmod: whatever the umask
}

// mkdir makes a folder and its parents.
func (w *writer) mkdir(dir string) error {
	if w.made[dir] {
		return nil
	}
	if err := w.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	name := filepath.FromSlash(dir)
	w.made[dir] = true
	return errors.Join(w.Mkdir(name, 0o755), w.Chmod(name, 0o755), w.chown(name))
}

func (w *writer) chown(name string) error {
	if w.owner == nil {
		return nil
	}
	return w.Lchown(name, int(w.owner.Uid), int(w.owner.Gid))
}
