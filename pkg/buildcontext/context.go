package buildcontext

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrContextChanged is what the stream of a context ends with when what it sends is not
// what the digest was made of.
var ErrContextChanged = errors.New("the context changed while it was sent")

// maxDockerfile bounds a Dockerfile, in bytes, as BuildKit does, and a .dockerignore.
const MaxDockerfile = 10 << 20

// Context is a build's context: what of a directory is sent to the engine, after
// .dockerignore, as OpenContext found it.
type Context struct {
	dir        string // absolute, no link in it
	name       string // of the Dockerfile, in the tar
	dockerfile []byte
	entries    []*entry // in the order in which they are sent, parents first
	digest     string
	size       int64
	files      int
}

// entry is a file, a directory or anything else of a context.
type entry struct {
	path    string      // relative to the context, with slashes
	kind    fs.FileMode // its type bits: 0 for a file
	perm    uint32      // permission bits, with setuid, setgid and sticky
	size    int64       // bytes, of a file
	link    string      // where a symbolic link points to
	device  uint64      // of a device
	first   *entry      // the entry that is another name of the same file, sent before; nil: none
	content []byte      // what is sent in place of what is on disk; nil: what is on disk
	sum     [sha256.Size]byte
}

// OpenContext reads a context: which entries of the directory dir are sent, and what is in
// them, all at once, so that a Context in hand has no fault left to find. A directory that
// .dockerignore excludes whole is not even opened. dockerfile is the path of the Dockerfile,
// which may be outside of dir; both are absolute.
//
// The file DOCKERFILE.dockerignore counts in place of DIR/.dockerignore when it exists, as it
// does for BuildKit. The Dockerfile and the .dockerignore that counts are sent even when they
// are ignored, as docker's client does: the engine reads them. Sockets are left out. An error
// that names a file that cannot be read has a hint.
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
	if err := c.readDockerfile(dockerfile); err != nil {
		return nil, err
	}
	ignore, err := readIgnore(real, dockerfile)
	if err != nil {
		return nil, err
	}
	w := &walker{ctx: ctx, dir: real, ignore: ignore, keep: map[string]bool{c.name: true}, links: map[inode]*entry{}}
	if ignore.own {
		w.keep[IgnoreFile] = true
	}
	if err := w.walk(); err != nil {
		return nil, err
	}
	c.entries = w.entries
	if err := c.placeDockerfile(); err != nil {
		return nil, err
	}
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	c.sumUp()
	return c, nil
}

// Digest is the SHA-256, in hexadecimal, of all that is sent but for the content of the
// Dockerfile: of each entry its path, type, permission bits, and content or where it points
// to. Owners and times do not count: no builder looks at them.
func (c *Context) Digest() string { return c.digest }

// Dockerfile is the content of the Dockerfile, which is sent exactly so.
func (c *Context) Dockerfile() []byte { return c.dockerfile }

// DockerfileDigest is the SHA-256, in hexadecimal, of the content of the Dockerfile.
func (c *Context) DockerfileDigest() string {
	sum := sha256.Sum256(c.dockerfile)
	return hex.EncodeToString(sum[:])
}

// DockerfileName is the path of the Dockerfile in the tar.
func (c *Context) DockerfileName() string { return c.name }

// Size is the size of the files that are sent, in bytes.
func (c *Context) Size() int64 { return c.size }

// Files is how many entries are sent, directories not counted.
func (c *Context) Files() int { return c.files }

// sendsFrom is something below the directory dir that is sent, relative to the context;
// empty: nothing is.
func (c *Context) SendsFrom(dir string) string {
	below := BelowIn(c.dir, dir)
	at := slices.IndexFunc(c.entries, func(e *entry) bool { return below(e.path) })
	if at < 0 {
		return ""
	}
	return c.entries[at].path
}

// belowIn tells which paths of a context are below the directory dir.
func BelowIn(context, dir string) func(path string) bool {
	var real [2]string
	for i, name := range []string{context, dir} {
		var err error
		if real[i], err = filepath.EvalSymlinks(name); err != nil {
			return func(string) bool { return false }
		}
	}
	below, err := filepath.Rel(real[0], real[1])
	if err != nil || !filepath.IsLocal(below) {
		return func(string) bool { return false }
	}
	return func(path string) bool { return strings.HasPrefix(path, filepath.ToSlash(below)+"/") || below == "." }
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

// contextError is an error with its remedy.
type contextError struct {
	error
	hint string
}

func (e *contextError) Unwrap() error { return e.error }

// Hint tells what to do about it.
func (e *contextError) Hint() string { return e.hint }

// unreadable gives an error of a file that may not be read its remedy.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &contextError{err, "let this user read it, or leave it out of the build with a line in .dockerignore"}
	}
	return err
}

// changed says that an entry is not what it was. What changes in a context all the time
// had better not be in it.
func changed(e *entry) error {
	return &contextError{
		&ChangedError{e.path},
		"run it again; what changes by itself, as logs do, is left out of the build with a line in .dockerignore",
	}
}

// changedError is ErrContextChanged, and where.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return fmt.Sprintf("%v: %q", ErrContextChanged, e.Path) }

func (e *ChangedError) Unwrap() error { return ErrContextChanged }

// read hashes the content of the files, several at a time: where the disk is slow, they
// wait for it together.
func (c *Context) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next   atomic.Int64
		faults = make([]error, len(c.entries))
		wait   sync.WaitGroup
	)
	for range 2 * runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			buffer := make([]byte, bufferSize)
			for i := next.Add(1) - 1; i < int64(len(c.entries)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if faults[i] = c.entries[i].hash(ctx, c.dir, buffer); faults[i] != nil {
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

// hash sets the sum, and the size, of what the entry contains.
func (e *entry) hash(ctx context.Context, dir string, buffer []byte) error {
	switch {
	case e.kind != 0 || e.first != nil:
		return nil
	case e.content != nil:
		e.sum, e.size = sha256.Sum256(e.content), int64(len(e.content))
		return nil
	}
	file, _, err := e.open(dir)
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

// open opens a file of the context. Something else that took its name since is an error,
// not a link that is followed or a pipe that hangs.
func (e *entry) open(dir string) (*os.File, *syscall.Stat_t, error) {
	file, err := os.OpenFile(filepath.Join(dir, e.path), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil, nil, changed(e)
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = changed(e)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info.Sys().(*syscall.Stat_t), nil
}

// plainWriter hides all methods but Write: io.CopyBuffer then uses the buffer.
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

// sumUp computes what Digest, Size and Files return.
func (c *Context) sumUp() {
	sum := sha256.New()
	fmt.Fprint(sum, "runtests context 1\n")
	for _, e := range c.entries {
		if e.first != nil {
			e.sum = e.first.sum // two names or two copies: the same to a build
		} else {
			c.size += e.size
		}
		if e.kind != fs.ModeDir {
			c.files++
		}
		value := e.value()
		if e.path == c.name {
			value = ""
		}
		fmt.Fprintf(sum, "%o %o %d:%s %d:%s\n", uint32(e.kind), e.perm, len(e.path), e.path, len(value), value)
	}
	c.digest = hex.EncodeToString(sum.Sum(nil))
}

// value is what an entry contains or points to, by its type.
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
