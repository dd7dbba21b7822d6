package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
)

// maxNames is how many entries a folder may have. Their names are in memory at the same time.
const maxNames = 1 << 20

// Entry is something in a tree.
type Entry struct {
	Path string      // relative to the root, with slashes; "." is the root
	Info fs.FileInfo // of the entry itself; nil for one that could not be opened

	handle *os.File
}

// entry returns the entry of a handle, which it closes if it fails.
func (t *Tree) entry(name string, handle *os.File) (*Entry, error) {
	info, err := handle.Stat()
	if err != nil {
		handle.Close()
		return nil, err
	}
	return &Entry{name, info, handle}, nil
}

// Close closes the entry. Files that Open returned stay open.
func (e *Entry) Close() error { return e.handle.Close() }

// Open opens a regular file for reading, without waiting. It fails with regular.ErrNot for anything else.
func (e *Entry) Open() (*os.File, error) {
	if !e.Info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", e.handle.Name(), regular.ErrNot)
	}
	return e.open(unix.O_NONBLOCK) // do not wait for somebody's lease on the file (fcntl(2))
}

// Readlink returns the target of a symbolic link.
func (e *Entry) Readlink() (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(e.handle.Fd()), "", target)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: e.handle.Name(), Err: err}
	}
	return string(target[:n]), nil
}

// names returns the names in a folder, sorted by their bytes.
func (e *Entry) names() ([]string, error) {
	folder, err := e.open(unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(maxNames + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxNames {
		return nil, fmt.Errorf("%s: it has more than %d entries", folder.Name(), maxNames)
	}
	slices.Sort(names)
	return names, nil
}

// open opens what the handle is for reading. Only proc(5) can do that without a name that may have
// another owner by now.
func (e *Entry) open(flags int) (*os.File, error) {
	name := "/proc/self/fd/" + strconv.Itoa(int(e.handle.Fd()))
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		if errors.Is(err, unix.EINTR) { // possible on network file systems and FUSE
			continue
		}
		if errors.Is(err, unix.ENOENT) { // even a removed file is there
			return nil, hint.Errorf("mount /proc", "open %s: %s: %w", e.handle.Name(), name, err)
		}
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: e.handle.Name(), Err: err}
		}
		return os.NewFile(uintptr(fd), e.handle.Name()), nil
	}
}
