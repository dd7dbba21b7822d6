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

// ErrUntrusted is the error for a repository that code under test can write: what it says of earlier
// commits is that code's own word, and it could name files that the code cannot read.
var ErrUntrusted = errors.New("tests can write the repository")

// ErrTooLarge is the error of Files for a commit with more than fits the bounds.
var ErrTooLarge = errors.New("too large to be tried")

// The bounds of Files. Test directories that were seen have less than 100 MB; all of the Go project's
// repository, as an example of a large one, has 15 000 files with 160 MB. git keeps a file three times
// in memory while it puts it together, so maxFile is a quarter of maxMemory.
const (
	maxFiles = 50_000
	maxBytes = 512 << 20 // of all files
	maxFile  = 256 << 20 // of one file
	maxDepth = 100       // folders in a path
	maxPath  = 1024      // bytes of a path, which is put below another
)

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
//
// It fails for a commit that is larger than the bounds (ErrTooLarge), before anything is written, and for
// a repository that code under test can write (ErrUntrusted).
func (t Trees) Files(ctx context.Context, root, commit string, paths []string, into string) error {
	if err := t.files(ctx, root, commit, paths, into); err != nil {
		return fmt.Errorf("get the files of %s from %s: %w", commit, root, err)
	}
	return nil
}

// Same reports whether two commits have the same files at and below paths, which are as for Files.
func (t Trees) Same(ctx context.Context, root, a, b string, paths []string) (bool, error) {
	p, err := t.openTrusted(ctx, root)
	if err != nil {
		return false, err
	}
	defer p.close()
	var lists [2][]entry
	for i, commit := range []string{a, b} {
		var err error
		if lists[i], err = p.list(ctx, commit, paths); err != nil {
			return false, fmt.Errorf("compare the files of %s and %s: %w", a, b, err)
		}
	}
	return slices.Equal(lists[0], lists[1]), nil
}

// openTrusted opens a repository for questions about its commits (ErrUntrusted). The caller closes it.
func (t Trees) openTrusted(ctx context.Context, root string) (*private, error) {
	r, err := t.open(ctx, root)
	if err != nil {
		return nil, err
	}
	p, err := r.private(withoutIndex)
	if r.untrusted {
		err = errors.Join(ErrUntrusted, err)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return p, nil
}

func (t Trees) files(ctx context.Context, root, commit string, paths []string, into string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, filesTimeout)
	defer cancel()
	p, err := t.openTrusted(ctx, root)
	if err != nil {
		return err
	}
	defer p.close()
	entries, err := p.list(ctx, commit, paths)
	if err != nil {
		return err
	}
	if err := checkNames(entries); err != nil {
		return err
	}
	if err := p.checkFilters(ctx, entries); err != nil {
		return err
	}
	sizes, err := p.sizes(ctx, entries)
	if err != nil {
		return err
	}
	if err := checkSizes(entries, sizes); err != nil {
		return err
	}
	folder, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	w := writer{folder, map[string]bool{".": true}, p.owner}
	return p.copyBlobs(ctx, entries, sizes, w.write)
}

// checkNames checks the number and the paths of files against the bounds (ErrTooLarge).
func checkNames(entries []entry) error {
	if len(entries) > maxFiles {
		return fmt.Errorf("%d files, more than %d: %w", len(entries), maxFiles, ErrTooLarge)
	}
	for _, e := range entries {
		if len(e.path) > maxPath || strings.Count(e.path, "/") > maxDepth {
			return fmt.Errorf("a path of %d bytes in %d folders, more than %d in %d: %w", len(e.path), strings.Count(e.path, "/"), maxPath, maxDepth, ErrTooLarge)
		}
	}
	return nil
}

// checkSizes checks the sizes of files against the bounds (ErrTooLarge).
func checkSizes(entries []entry, sizes []int64) error {
	var sum int64
	for i, size := range sizes {
		if size > maxFile {
			return fmt.Errorf("%s has more than %s: %w", words(entries[i].path), megabytes(maxFile), ErrTooLarge)
		}
		if sum += size; sum > maxBytes {
			return fmt.Errorf("the files have more than %s: %w", megabytes(maxBytes), ErrTooLarge)
		}
	}
	return nil
}

func megabytes(size int64) string { return fmt.Sprintf("%d MiB", size>>20) }

// list returns the files of a commit that are at or below paths.
func (p *private) list(ctx context.Context, commit string, paths []string) ([]entry, error) {
	if !commitID.MatchString(commit) {
		return nil, fmt.Errorf("%q is not the ID of a commit", commit)
	}
	if slices.Contains(paths, ".") {
		paths = nil // all of the tree
	}
	out, err := p.git(ctx, nil, append([]string{"ls-tree", "-r", "-z", "--full-tree", commit, "--"}, paths...)...)
	if err != nil {
		return nil, err
	}
	return parseTree(out)
}

// parseTree reads what git ls-tree -z prints: for each file MODE TYPE ID, a tab and the path
// (ErrNeedsGit).
func parseTree(out []byte) (entries []entry, err error) {
	for line := range bytes.SplitSeq(out, []byte{0}) {
		if len(line) == 0 {
			continue
		}
		about, name, _ := strings.Cut(string(line), "\t")
		fields := strings.Fields(about)
		if len(fields) != 3 || name == "" || !commitID.MatchString(fields[2]) {
			return nil, errors.New("git ls-tree: unexpected output")
		}
		if fields[0] == modeSubmodule {
			return nil, fmt.Errorf("%s is a submodule: %w", words(name), ErrNeedsGit)
		}
		entries = append(entries, entry{fields[0], fields[2], name})
	}
	return entries, nil
}

// sizes returns the sizes of files in bytes, as git has noted them.
func (p *private) sizes(ctx context.Context, entries []entry) ([]int64, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	out, err := p.git(ctx, strings.NewReader(idsOf(entries)), "cat-file", "--batch-check", "--buffer")
	if err != nil {
		return nil, err
	}
	lines := bufio.NewReader(bytes.NewReader(out))
	sizes := make([]int64, len(entries))
	for i, e := range entries {
		if sizes[i], err = readHead(lines, e); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

// idsOf returns the IDs of entries, each on a line.
func idsOf(entries []entry) string {
	var ids strings.Builder
	for _, e := range entries {
		ids.WriteString(e.id + "\n")
	}
	return ids.String()
}

// readHead reads the line that git cat-file prints about a file, ID TYPE SIZE, and returns the size.
func readHead(read *bufio.Reader, e entry) (int64, error) {
	head, err := read.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("%s: git cat-file: %w", words(e.path), err)
	}
	fields := strings.Fields(head)
	if len(fields) != 3 || fields[0] != e.id || fields[1] != "blob" {
		return 0, fmt.Errorf("%s: the repository does not have it", words(e.path))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("%s: git cat-file: unexpected output", words(e.path))
	}
	return size, nil
}

// filterAttributes are the attributes that make a file on disk differ from what git stores.
var filterAttributes = []string{"filter", "working-tree-encoding", "ident", "eol"}

// checkFilters returns an error if a file on disk would not be as git stores it.
func (p *private) checkFilters(ctx context.Context, entries []entry) error {
	var names bytes.Buffer
	for _, e := range entries {
		names.WriteString(e.path)
		names.WriteByte(0)
	}
	out, err := p.git(ctx, &names, append([]string{"check-attr", "-z", "--stdin"}, filterAttributes...)...)
	if err != nil {
		return err
	}
	return parseAttributes(out)
}

// parseAttributes reads what git check-attr -z prints, path, attribute, value, and again, and returns an
// error if a file needs git (ErrNeedsGit).
func parseAttributes(out []byte) error {
	fields := strings.Split(string(out), "\x00")
	for i := 0; i+2 < len(fields); i += 3 {
		switch fields[i+2] {
		case "unspecified", "unset", "lf":
		default:
			return fmt.Errorf("%s has the attribute %s=%s: %w", words(fields[i]), words(fields[i+1]), words(fields[i+2]), ErrNeedsGit)
		}
	}
	return nil
}

// copyBlobs calls write with the content of each entry, which must have the size that was checked.
func (p *private) copyBlobs(ctx context.Context, entries []entry, sizes []int64, write func(entry, io.Reader) error) error {
	if len(entries) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends git after an error
	cmd := p.command(ctx, "cat-file", "--batch", "--buffer")
	cmd.Stdin = strings.NewReader(idsOf(entries))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := start(cmd); err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	read := bufio.NewReader(out)
	for i, e := range entries {
		if err = copyBlob(read, e, sizes[i], write); err != nil {
			cancel()
			break
		}
	}
	if failed := cmd.Wait(); err == nil && failed != nil {
		err = fmt.Errorf("git cat-file: %w", failed)
	}
	return err
}

// copyBlob reads an object as git cat-file --batch prints it: its line, the content, a line feed.
func copyBlob(read *bufio.Reader, e entry, checked int64, write func(entry, io.Reader) error) error {
	size, err := readHead(read, e)
	if err != nil {
		return err
	}
	if size != checked {
		return fmt.Errorf("%s: its size has changed", words(e.path))
	}
	content := io.LimitReader(read, size)
	if err := write(e, content); err != nil {
		return fmt.Errorf("%s: %w", words(e.path), err)
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
