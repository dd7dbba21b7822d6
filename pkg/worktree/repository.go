package worktree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
)

// dotGit is the entry that makes a folder the root of a work tree.
const dotGit = ".git"

// maxPointer bounds a file that names a folder: .git of a linked work tree, commondir, gitdir.
const maxPointer = 8 << 10

// repository is the repository of a work tree, open for reading.
type repository struct {
	root      string // of the work tree, without links
	gitDir    string // of this work tree, without links
	commonDir string // of all work trees of the repository, without links
	untrusted bool   // code under test can write it
	owner     *syscall.Credential
	patience  time.Duration // for one git command

	gitRoot, commonRoot *os.Root // gitDir and commonDir
	config              config
	head                string // the ID of the commit that is checked out
}

// open opens the repository of the work tree with that root. The caller closes it.
func (t Trees) open(ctx context.Context, root string) (*repository, error) {
	r := &repository{root: root, patience: cmp.Or(t.patience, commandTimeout)}
	if err := r.read(ctx, realPaths(t.Writable)); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *repository) close() {
	for _, dir := range []*os.Root{r.gitRoot, r.commonRoot} {
		if dir != nil {
			_ = dir.Close()
		}
	}
}

// read reads what git needs to know of the repository. The order matters: nothing is opened before it
// is certain that the work tree may name it.
func (r *repository) read(ctx context.Context, writable []string) (err error) {
	if r.owner, err = ownerOf(r.root); err != nil {
		return err
	}
	if err := r.locate(); err != nil {
		return err
	}
	r.untrusted = untrusted(writable, r.gitDir, r.commonDir)
	if err := r.checkPlaces(writable); err != nil {
		return err
	}
	if r.gitRoot, err = os.OpenRoot(r.gitDir); err != nil {
		return err
	}
	if r.commonRoot, err = os.OpenRoot(r.commonDir); err != nil {
		return err
	}
	if err := r.checkObjects(); err != nil {
		return err
	}
	if r.config, err = r.readConfig(ctx); err != nil {
		return err
	}
	if err := r.checkBackLink(writable); err != nil {
		return err
	}
	r.head, err = r.resolveHead()
	return err
}

// readEntries are the entries of a repository's folders that are read, by us or by git.
var readEntries = []string{
	"HEAD", "commondir", "config", "config.worktree", "gitdir", "index", "info", "objects", "packed-refs", "refs", "shallow", "worktrees",
}

// untrusted reports whether code that can write below one of the directories writable can write a
// repository, which consists of the folders parts. All paths are without links. A work tree inside the
// folder of its bare repository does not count.
func untrusted(writable []string, parts ...string) bool {
	for _, part := range parts {
		if within(part, writable) {
			return true
		}
		for _, entry := range readEntries {
			read := []string{filepath.Join(part, entry)}
			if slices.ContainsFunc(writable, func(dir string) bool { return within(dir, read) }) {
				return true
			}
		}
	}
	return false
}

// realPaths returns paths without links. It leaves out those that do not exist.
func realPaths(paths []string) (real []string) {
	for _, path := range paths {
		if path, err := filepath.EvalSymlinks(path); err == nil {
			real = append(real, path)
		}
	}
	return real
}

// locate sets gitDir and commonDir.
func (r *repository) locate() error {
	git, err := filepath.EvalSymlinks(filepath.Join(r.root, dotGit))
	if err != nil {
		return err
	}
	info, err := os.Lstat(git)
	if err != nil {
		return err
	}
	if r.gitDir = git; !info.IsDir() { // the file that a linked work tree or a submodule has
		if r.gitDir, err = follow(git, "gitdir: "); err != nil {
			return err
		}
	}
	r.commonDir, err = follow(filepath.Join(r.gitDir, "commondir"), "")
	if errors.Is(err, fs.ErrNotExist) {
		r.commonDir, err = r.gitDir, nil
	}
	return err
}

// follow returns the folder that a file names after a prefix, without links.
func follow(file, prefix string) (string, error) {
	data, err := regular.ReadNoFollow(file, maxPointer)
	if err != nil {
		return "", err
	}
	path, err := parsePointer(string(data), prefix)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%s names a folder that cannot be found", file)
	}
	return path, nil
}

// parsePointer returns the path that the content of a file names after a prefix.
func parsePointer(content, prefix string) (string, error) {
	path, ok := strings.CutPrefix(content, prefix)
	path = strings.TrimRight(path, "\r\n")
	if !ok || path == "" || strings.ContainsAny(path, "\x00\r\n") {
		return "", errors.New("it does not name a folder")
	}
	return path, nil
}

// leadsElsewhere reports whether the repository has folders outside ROOT/.git.
func (r *repository) leadsElsewhere() bool {
	own := filepath.Join(r.root, dotGit)
	return r.gitDir != own || r.commonDir != own
}

// checkPlaces refuses a repository that the work tree must not name: a planted .git could name
// one that its author cannot read.
func (r *repository) checkPlaces(writable []string) error {
	if !r.leadsElsewhere() {
		return nil
	}
	for _, dir := range []string{r.gitDir, r.commonDir} {
		if r.untrusted && !within(dir, writable) {
			return r.foreign(dir)
		}
		info, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && stat.Uid != r.uid() {
			return hint.Errorf("give both to one user: chown -R", "%s names the repository %s, which belongs to another user", filepath.Join(r.root, dotGit), dir)
		}
	}
	return nil
}

// uid returns the user as whom git runs.
func (r *repository) uid() uint32 {
	if r.owner != nil {
		return r.owner.Uid
	}
	return uint32(os.Geteuid())
}

// foreign returns the error for a repository that code under test may have named.
func (r *repository) foreign(dir string) error {
	return hint.Errorf("mount the directory with mount: ro or mount: copy",
		"%s may have been written by a test and names %s, which does not name this work tree", filepath.Join(r.root, dotGit), dir)
}

// checkBackLink refuses a trusted repository that a .git, which code under test can write, names without
// being named by it: a linked work tree is in gitdir of its folder, a submodule is core.worktree.
func (r *repository) checkBackLink(writable []string) error {
	if r.untrusted || !r.leadsElsewhere() || !within(r.root, writable) {
		return nil
	}
	if data, err := regular.ReadIn(r.gitRoot, "gitdir", maxPointer); err == nil {
		path, err := parsePointer(string(data), "")
		if err == nil && r.isRoot(filepath.Dir(r.absolute(path))) {
			return nil
		}
	}
	if tree := r.config["core.worktree"]; tree != "" && r.isRoot(r.absolute(tree)) {
		return nil
	}
	return r.foreign(r.gitDir)
}

// absolute returns a path that is relative to gitDir as an absolute one.
func (r *repository) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.gitDir, path)
}

// isRoot reports whether dir is the root of the work tree.
func (r *repository) isRoot(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	return err == nil && dir == r.root
}

// checkObjects refuses objects of another repository in one that code under test can write.
func (r *repository) checkObjects() error {
	if _, err := r.commonRoot.Lstat("objects"); err != nil || !r.untrusted {
		return err
	}
	for _, dir := range []string{"objects", "objects/info", "objects/pack"} {
		if info, err := r.commonRoot.Lstat(dir); err == nil && !info.IsDir() {
			return r.foreign(filepath.Join(r.commonDir, dir))
		}
	}
	if _, err := r.commonRoot.Lstat("objects/info/alternates"); !errors.Is(err, fs.ErrNotExist) {
		return r.foreign("the objects of another repository (objects/info/alternates)")
	}
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
