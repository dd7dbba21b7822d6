// Package regular opens and reads regular files that a stranger may have put there. It does not wait for
// a pipe or a device of that name, and reads no file beyond a bound.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrNot is the error for something that is not a regular file: a folder, a pipe, a device.
var ErrNot = errors.New("not a regular file")

// Open opens a regular file for reading. It follows links, and fails with ErrNot for anything else.
func Open(path string) (*os.File, error) { return open(os.OpenFile, path, 0) }

// OpenNoFollow is like Open, but it fails if path itself is a link.
func OpenNoFollow(path string) (*os.File, error) { return open(os.OpenFile, path, syscall.O_NOFOLLOW) }

// OpenIn is like OpenNoFollow for a file below root. A link in a folder's place cannot lead out of root.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	named, err := root.Lstat(name) // os.Root follows a link to a file below it even with O_NOFOLLOW
	if err != nil {
		return nil, err
	}
	file, err := open(root.OpenFile, name, syscall.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(named, info) {
		err = fmt.Errorf("%s: %w", name, ErrNot)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// open opens a regular file by openFile, without waiting.
func open(openFile func(string, int, fs.FileMode) (*os.File, error), name string, flags int) (*os.File, error) {
	file, err := openFile(name, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0) // NONBLOCK: do not wait for the writer of a pipe
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, ErrNot)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Read opens a file as Open does and reads it. It fails if the file has more than limit bytes.
func Read(path string, limit int64) ([]byte, error) { return read(limit)(Open(path)) }

// ReadNoFollow is like Read, but opens the file as OpenNoFollow does.
func ReadNoFollow(path string, limit int64) ([]byte, error) { return read(limit)(OpenNoFollow(path)) }

// ReadIn is like Read, but opens the file as OpenIn does.
func ReadIn(root *os.Root, name string, limit int64) ([]byte, error) {
	return read(limit)(OpenIn(root, name))
}

// read returns a function that reads and closes an opened file.
func read(limit int64) func(*os.File, error) ([]byte, error) {
	return func(file *os.File, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, limit+1)) // the file may grow meanwhile, so its size is no bound
		if err == nil && int64(len(data)) > limit {
			err = fmt.Errorf("%s: larger than %s", file.Name(), sizeText(limit))
		}
		if err != nil {
			return nil, err
		}
		return data, nil
	}
}

// sizeText returns a size in the largest unit that it is a multiple of.
func sizeText(bytes int64) string {
	switch {
	case bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
