package buildcontext

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
	"runtests/pkg/tree"
)

// ErrChanged is the error of a context's stream if the files are not those that the digest
// was made of.
var ErrChanged = errors.New("the context changed while it was sent")

// MaxDockerfile is the size of the largest Dockerfile or .dockerignore that is read, in bytes.
// BuildKit has the same bound.
const MaxDockerfile = 10 << 20

// Context is the context of a build: the entries of a directory that are sent to the engine, as Open
// found them.
type Context struct {
	dir        string // absolute, no link in it
	name       string // the path of the Dockerfile in the tar
	dockerfile []byte
	entries    []*entry // in the order in which they are sent, parents first
	digest     string
}

// entry is a file, a directory or anything else in a context.
type entry struct {
	path    string      // relative to the context, with slashes
	kind    fs.FileMode // the type bits; 0: a file
	perm    uint32      // permission bits, with setuid, setgid and sticky
	size    int64       // of a file, in bytes
	link    string      // the target of a symbolic link
	device  uint64      // the number of a device
	first   *entry      // an earlier entry with another name of the same file; nil: none
	content []byte      // sent in place of the content on disk; nil: the content on disk is sent
	sum     [sha256.Size]byte
}

// Open reads all that is to be sent of the directory dir, so that every unreadable file is found
// before the build begins. It does not even open a directory that .dockerignore excludes as a whole.
// dockerfile is the path of the Dockerfile, which may be outside dir. Both paths are absolute.
//
// If DOCKERFILE.dockerignore exists, it replaces DIR/.dockerignore, as in BuildKit. The Dockerfile
// and DIR/.dockerignore are sent even if they are ignored, as docker's client does: the engine
// reads them. Sockets are left out. The error for an unreadable file has a hint.
func Open(ctx context.Context, dir, dockerfile string) (*Context, error) {
	c, err := openContext(ctx, dir, dockerfile)
	if err != nil {
		return nil, fmt.Errorf("read the context %s: %w", dir, err)
	}
	return c, nil
}

func openContext(ctx context.Context, dir, dockerfile string) (*Context, error) {
	real, err := realDirectory(dir)
	if err != nil {
		return nil, err
	}
	c := &Context{dir: real}
	if err := c.readDockerfile(dir, dockerfile); err != nil {
		return nil, err
	}
	ignore, err := readIgnore(dir, dockerfile)
	if err != nil {
		return nil, err
	}
	files, err := tree.Open(real)
	if err != nil {
		return nil, unreadable(err)
	}
	defer files.Close()
	w := &walker{ignore: ignore, keep: map[string]bool{c.name: true}, links: map[inode]*entry{}}
	if ignore.own {
		w.keep[IgnoreFile] = true
	}
	if err := files.Walk(ctx, w.visit); err != nil {
		return nil, err
	}
	c.entries = w.entries
	if err := c.placeDockerfile(); err != nil {
		return nil, err
	}
	if err := c.read(ctx, files); err != nil {
		return nil, err
	}
	c.sumUp()
	return c, nil
}

// Digest returns the SHA-256, in hexadecimal, of all that is sent except for the content of the
// Dockerfile: the path, type, permission bits, and content or target of each entry. Owners and
// times do not count, as no builder looks at them.
func (c *Context) Digest() string { return c.digest }

// Dockerfile returns the content of the Dockerfile, exactly as it is sent.
func (c *Context) Dockerfile() []byte { return c.dockerfile }

// DockerfileDigest returns the SHA-256, in hexadecimal, of the content of the Dockerfile.
func (c *Context) DockerfileDigest() string {
	return fmt.Sprintf("%x", sha256.Sum256(c.dockerfile))
}

// DockerfileName returns the path of the Dockerfile in the tar.
func (c *Context) DockerfileName() string { return c.name }

// SendsFrom returns the first path below the directory dir that is sent, relative to the context,
// or "".
func (c *Context) SendsFrom(dir string) string {
	below := BelowIn(c.dir, dir)
	for _, e := range c.entries {
		if below(e.path) {
			return e.path
		}
	}
	return ""
}

// BelowIn returns a function that reports whether a path of the context in the directory root is below
// the directory dir.
func BelowIn(root, dir string) func(path string) bool {
	root, errRoot := filepath.EvalSymlinks(root)
	dir, errDir := filepath.EvalSymlinks(dir)
	below, err := filepath.Rel(root, dir)
	if errors.Join(errRoot, errDir, err) != nil || !filepath.IsLocal(below) {
		return func(string) bool { return false }
	}
	return func(path string) bool { return below == "." || strings.HasPrefix(path, below+"/") }
}

func realDirectory(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", unreadable(err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", unreadable(err)
	}
	if !info.IsDir() {
		return "", errors.New("it is not a directory")
	}
	return real, nil
}

// unreadable adds the remedy to the error for a file that this user may not read.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return hint.Wrap(err, "let this user read it, or leave it out of the build with a line in .dockerignore")
	}
	return err
}

// changed returns the error for an entry that is not what it was.
func changed(e *entry) error {
	return hint.Wrap(&ChangedError{e.path}, "run it again; leave files that change by themselves, as logs do, out of the build with a line in .dockerignore")
}

// ChangedError is ErrChanged with the path of the entry in the context.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return fmt.Sprintf("%v: %q", ErrChanged, e.Path) }

func (e *ChangedError) Unwrap() error { return ErrChanged }

// read hashes the content of the files, several at a time, as a slow disk answers them together.
func (c *Context) read(ctx context.Context, files *tree.Tree) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next   atomic.Int64
		faults = make([]error, len(c.entries))
		wait   sync.WaitGroup
	)
	for range 2 * runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			finder := files.Finder()
			defer finder.Close()
			buffer := make([]byte, bufferSize)
			for i := next.Add(1) - 1; i < int64(len(c.entries)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if faults[i] = c.entries[i].hash(ctx, finder, buffer); faults[i] != nil {
					cancel()
				}
			}
		})
	}
	wait.Wait()
	for _, err := range faults { // the first in the order of the context
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return context.Cause(ctx)
}

// bufferSize is how much of a file is in memory at a time, in bytes.
const bufferSize = 128 << 10

// hash sets the sum and the size of the content.
func (e *entry) hash(ctx context.Context, finder *tree.Finder, buffer []byte) error {
	switch {
	case e.kind != 0 || e.first != nil:
		return nil
	case e.content != nil:
		e.sum, e.size = sha256.Sum256(e.content), int64(len(e.content))
		return nil
	}
	file, _, err := e.open(finder)
	if err != nil {
		return unreadable(err)
	}
	defer file.Close()
	sum := sha256.New()
	e.size, err = io.CopyBuffer(plainWriter{sum}, &contextReader{ctx, file}, buffer)
	if err != nil {
		return unreadable(err)
	}
	sum.Sum(e.sum[:0])
	return nil
}

// open opens a file of the context. It fails with ErrChanged if something else has taken the file's place.
func (e *entry) open(finder *tree.Finder) (*tree.File, *syscall.Stat_t, error) {
	found, err := e.find(finder)
	if err != nil {
		return nil, nil, err
	}
	defer found.Close()
	file, err := found.Open()
	if errors.Is(err, regular.ErrNot) {
		err = changed(e)
	}
	if err != nil {
		return nil, nil, err
	}
	return file, found.Info.Sys().(*syscall.Stat_t), nil
}

// find returns what is in the entry's place now. It fails with ErrChanged if that is nothing, or if
// something else has taken the place of a directory on the way.
func (e *entry) find(finder *tree.Finder) (*tree.Entry, error) {
	found, err := finder.Lookup(e.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = changed(e)
	}
	return found, err
}

// plainWriter hides all methods but Write, so that io.CopyBuffer uses its buffer.
type plainWriter struct{ io.Writer }

// contextReader reads until a context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// sumUp computes what Digest returns.
func (c *Context) sumUp() {
	sum := sha256.New()
	fmt.Fprint(sum, "runtests context 1\n")
	for _, e := range c.entries {
		if e.first != nil {
			e.sum = e.first.sum // a build does not see whether these are two names or two copies
		}
		value := e.value()
		if e.path == c.name {
			value = ""
		}
		fmt.Fprintf(sum, "%o %o %d:%s %d:%s\n", uint32(e.kind), e.perm, len(e.path), e.path, len(value), value)
	}
	c.digest = fmt.Sprintf("%x", sum.Sum(nil))
}

// value returns what an entry contains or points to, by its type.
func (e *entry) value() string {
	switch {
	case e.kind == 0:
		return string(e.sum[:])
	case e.kind == fs.ModeSymlink:
		return e.link
	case e.kind&fs.ModeDevice != 0:
		return fmt.Sprint(e.device)
	}
	return ""
}
