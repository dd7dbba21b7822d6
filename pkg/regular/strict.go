package regular

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenStrict opens a regular file for reading, by an absolute path without any link. It enters folder by folder, so that
// nobody who replaces one by a link meanwhile can redirect it. It does not wait for a pipe. It fails with ErrNot for
// anything else than a regular file, and with ELOOP or ENOTDIR if there is a link on the way.
func OpenStrict(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("open %s: not an absolute path", path)
	}
	const folder = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	at, err := unix.Open("/", folder, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	parents, name := filepath.Split(filepath.Clean(path))
	for _, component := range strings.FieldsFunc(parents, func(r rune) bool { return r == '/' }) {
		next, err := openat(at, component, folder)
		_ = unix.Close(at) // it was only read
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		at = next
	}
	defer unix.Close(at)
	return open(func(name string, flags int, _ fs.FileMode) (*os.File, error) {
		fd, err := openat(at, name, flags|unix.O_CLOEXEC)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}, name, unix.O_NOFOLLOW)
}

// openat is openat(2), again when a signal has interrupted it.
func openat(at int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
