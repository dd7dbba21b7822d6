// Package regular opens and reads regular files that a stranger could have put there: a pipe or a
// device of that name hangs nobody, and no file is read beyond a bound.
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

// Open opens a regular file for reading (ErrNot). If path itself is a link, Open follows it: see
// OpenNoFollow.
func Open(path string) (*os.File, error) { return open(os.OpenFile, path, 0) }

// OpenNoFollow opens a regular file for reading (ErrNot). If path itself is a link, it fails.
func OpenNoFollow(path string) (*os.File, error) { return open(os.OpenFile, path, syscall.O_NOFOLLOW) }

// OpenIn opens a regular file below root for reading (ErrNot). If name itself is a link, it fails;
// a link on the way there cannot lead out of root.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	named, err := root.Lstat(name) // os.Root follows a link inside of it also with O_NOFOLLOW
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

func open(openFile func(string, int, fs.FileMode) (*os.File, error), name string, flags int) (*os.File, error) {
	file, err := openFile(name, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0) // NONBLOCK: a pipe does not wait for its writer
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

// Read reads a file as Open opens it. It fails if the file has more than limit bytes.
func Read(path string, limit int64) ([]byte, error) { return read(limit)(Open(path)) }

// ReadNoFollow reads a file as OpenNoFollow opens it. It fails if the file has more than limit bytes.
func ReadNoFollow(path string, limit int64) ([]byte, error) { return read(limit)(OpenNoFollow(path)) }

// ReadIn reads a file as OpenIn opens it. It fails if the file has more than limit bytes.
func ReadIn(root *os.Root, name string, limit int64) ([]byte, error) {
	return read(limit)(OpenIn(root, name))
}

// read returns a function that reads an opened file and closes it.
func read(limit int64) func(*os.File, error) ([]byte, error) {
	return func(file *os.File, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, limit+1)) // it may grow meanwhile: its size now is no bound
		if err == nil && int64(len(data)) > limit {
			err = fmt.Errorf("%s: larger than %s", file.Name(), sizeText(limit))
		}
		if err != nil {
			return nil, err
		}
		return data, nil
	}
}

func sizeText(bytes int64) string {
	switch {
	case bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
