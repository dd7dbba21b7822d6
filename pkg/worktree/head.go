package worktree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"runtests/pkg/regular"
)

// errUnborn is the error for a work tree that has no commit yet.
var errUnborn = errors.New("no commit yet")

// The bounds of what leads from HEAD to a commit. git follows 5 symbolic references, too; a
// packed-refs file of a million branches has less than 100 MB.
const (
	maxSymbolic   = 5
	maxReference  = 4 << 10   // bytes of a reference
	maxPackedRefs = 128 << 20 // bytes of packed-refs
)

// commitID matches the ID of a commit: SHA-1 or SHA-256.
var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// resolveHead returns the ID of the commit that HEAD leads to (errUnborn).
func (r *repository) resolveHead() (string, error) {
	name := "HEAD"
	for range maxSymbolic {
		text, err := r.reference(name)
		if err != nil {
			return "", err
		}
		id, next, err := parseReference(text)
		if err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Join(r.gitDir, name), err)
		}
		if id != "" {
			return id, nil
		}
		name = next
	}
	return "", fmt.Errorf("%s: more than %d symbolic references", filepath.Join(r.gitDir, "HEAD"), maxSymbolic)
}

// reference returns the content of a reference.
func (r *repository) reference(name string) (string, error) {
	dir := r.commonRoot
	if name == "HEAD" || ofWorkTree(name) {
		dir = r.gitRoot
	}
	data, err := regular.ReadIn(dir, filepath.FromSlash(name), maxReference)
	if name == "HEAD" || err == nil {
		return string(data), err
	}
	if info, failed := dir.Lstat(filepath.FromSlash(name)); failed == nil && !info.IsDir() {
		return "", err
	}
	return r.packed(name) // not there, or a folder with longer names
}

// ofWorkTree reports whether each work tree has a reference of that name for itself.
func ofWorkTree(name string) bool {
	for _, prefix := range []string{"refs/bisect/", "refs/worktree/", "refs/rewritten/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// parseReference reads a reference: the ID of a commit, or the name of another reference.
func parseReference(text string) (id, name string, err error) {
	text = strings.TrimRight(text, " \t\r\n")
	if commitID.MatchString(text) {
		return text, "", nil
	}
	name, ok := strings.CutPrefix(text, "ref:")
	name = strings.TrimLeft(name, " \t")
	if !ok || !strings.HasPrefix(name, "refs/") || name != path.Clean(name) || strings.ContainsAny(name, "\x00\n\\") {
		return "", "", errors.New("it names neither a commit nor a branch")
	}
	return "", name, nil
}

// packed returns the content of a reference in packed-refs (errUnborn).
func (r *repository) packed(name string) (_ string, err error) {
	file, err := regular.OpenIn(r.commonRoot, "packed-refs")
	if errors.Is(err, fs.ErrNotExist) {
		return "", errUnborn
	}
	if err != nil {
		return "", err
	}
	defer closeRead(file)
	id, err := findPacked(io.LimitReader(file, maxPackedRefs), name)
	if err != nil && !errors.Is(err, errUnborn) {
		return "", fmt.Errorf("%s: %w", filepath.Join(r.commonDir, "packed-refs"), err)
	}
	return id, err
}

// closeRead closes a file that was only read, so that an error is of no consequence.
func closeRead(file *os.File) { _ = file.Close() }

// findPacked returns the ID of a reference in the content of packed-refs (errUnborn): lines of an ID, a
// space and a name; those that begin with # or ^ are something else.
func findPacked(content io.Reader, name string) (string, error) {
	lines := bufio.NewScanner(content)
	for lines.Scan() {
		id, found, _ := strings.Cut(lines.Text(), " ")
		if found == name && commitID.MatchString(id) {
			return id, nil
		}
	}
	if lines.Err() != nil {
		return "", errors.New("a line is too long, or cannot be read")
	}
	return "", errUnborn
}
