package worktree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"runtests/pkg/regular"
)

// private is the directory that git takes for the repository's: a temporary folder with a
// configuration of ours, the commit as HEAD, and copies of those files of the repository that git only
// reads as data. Objects are read where they are.
type private struct {
	*repository
	dir string
}

// The bounds of the files that are copied, in bytes. An index has about 100 bytes a file: 256 MiB are
// enough for two million.
const (
	maxIndex       = 256 << 20
	maxInfo        = 4 << 20 // ignored files, attributes, the patterns of a sparse checkout
	maxShallow     = 16 << 20
	maxSharedIndex = 8 // files; git keeps one or two
)

// copied is a file of the repository that git reads as data.
type copied struct {
	from  *os.Root
	name  string // with slashes
	limit int64  // bytes
}

// indexed says whether a private directory has the index.
type indexed bool

const (
	withIndex    indexed = true
	withoutIndex indexed = false
)

// private makes the private directory. The caller removes it. It belongs to the user as whom git
// runs as soon as it is complete: while we write to it, nobody else can.
func (r *repository) private(index indexed) (*private, error) {
	dir, err := os.MkdirTemp("", privatePrefix)
	if err != nil {
		return nil, err
	}
	p := &private{r, dir}
	if err := p.fill(index); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// close removes the directory and closes the repository.
func (p *private) close() {
	p.remove()
	p.repository.close()
}

// privatePrefix begins the name of a private directory, and is followed by digits.
const privatePrefix = "runtests-git-"

// staleAfter is the age at which a private directory is no longer in use: every use is bounded by minutes.
const staleAfter = time.Hour

// removeStale removes the private directories that dead runs left.
func removeStale(now time.Time) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), privatePrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		digits := strings.TrimPrefix(filepath.Base(dir), privatePrefix)
		info, err := os.Lstat(dir)
		if err == nil && info.IsDir() && strings.Trim(digits, "0123456789") == "" && now.Sub(info.ModTime()) > staleAfter {
			_ = os.RemoveAll(dir) // it is another user's, or the next run tries again
		}
	}
}

// remove removes the directory. os.RemoveAll follows no links, whatever its owner does meanwhile.
func (p *private) remove() { _ = os.RemoveAll(p.dir) }

func (p *private) fill(index indexed) (err error) {
	into, err := os.OpenRoot(p.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	err = errors.Join(
		into.WriteFile("config", []byte(p.config.text()), 0o600),
		into.WriteFile("HEAD", []byte(p.head+"\n"), 0o600),
		into.Mkdir("refs", 0o700),
		into.Mkdir("info", 0o700),
	)
	if err != nil {
		return err
	}
	files := []copied{
		{p.commonRoot, "info/exclude", maxInfo}, {p.commonRoot, "info/attributes", maxInfo},
		{p.gitRoot, "info/sparse-checkout", maxInfo}, {p.commonRoot, "shallow", maxShallow},
	}
	if index == withIndex {
		shared, err := p.sharedIndexes()
		if err != nil {
			return err
		}
		files = append(append(files, copied{p.gitRoot, "index", maxIndex}), shared...)
	}
	for _, file := range files {
		if err := file.copyTo(into); err != nil {
			return fmt.Errorf("copy %s: %w", path.Join(file.from.Name(), file.name), err)
		}
	}
	return p.giveAway(into)
}

// sharedIndexes returns the files in which a split index keeps most of its entries.
func (p *private) sharedIndexes() (files []copied, err error) {
	dir, err := p.gitRoot.Open(".")
	if err != nil {
		return nil, err
	}
	defer closeRead(dir)
	names, err := dir.Readdirnames(10_000)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "sharedindex.") {
			files = append(files, copied{p.gitRoot, name, maxIndex})
		}
	}
	if len(files) > maxSharedIndex {
		return nil, fmt.Errorf("%s has more than %d files sharedindex.*", p.gitDir, maxSharedIndex)
	}
	return files, nil
}

// copyTo copies the file, if it exists, with its time: git compares contents again of what was changed
// when the index was written, or later.
func (c copied) copyTo(into *os.Root) (err error) {
	source, err := regular.OpenIn(c.from, filepath.FromSlash(c.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeRead(source)
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := into.OpenFile(filepath.FromSlash(c.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	size := info.Size()
	if size <= c.limit {
		size, err = io.Copy(target, io.LimitReader(source, c.limit+1))
	}
	if err == nil && size > c.limit {
		err = fmt.Errorf("larger than %s", megabytes(c.limit))
	}
	return errors.Join(err, target.Close(), into.Chtimes(filepath.FromSlash(c.name), info.ModTime(), info.ModTime()))
}

// giveAway gives the directory to the user as whom git runs.
func (p *private) giveAway(into *os.Root) error {
	if p.owner == nil {
		return nil
	}
	uid, gid := int(p.owner.Uid), int(p.owner.Gid)
	err := fs.WalkDir(into.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		return into.Lchown(filepath.FromSlash(name), uid, gid)
	})
	return errors.Join(err, into.Lchown(".", uid, gid))
}
