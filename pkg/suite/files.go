package suite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"runtests/pkg/regular"
)

// files is the file system that a suite file can see.
type files interface {
	// read returns a regular file of at most limit bytes. Its errors do not name the file.
	read(file string, limit int64) ([]byte, error)
	// directories returns the directories that match an absolute pattern, except hidden ones.
	directories(pattern string) ([]string, error)
	mode(file string) (fs.FileMode, error)
	// resolve returns file without symbolic links, or file itself if it does not exist.
	resolve(file string) string
	// readlink returns the target of a link, as os.Readlink.
	readlink(file string) (string, error)
}

// disk is the file system of this machine.
type disk struct{}

func (disk) read(file string, limit int64) ([]byte, error) { return readFile(file, limit) }

func (disk) directories(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	var dirs []string
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && info.IsDir() && filepath.Base(m)[0] != '.' {
			dirs = append(dirs, m)
		}
	}
	return dirs, err
}

func (disk) mode(file string) (fs.FileMode, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

func (disk) resolve(file string) string {
	resolved, err := filepath.EvalSymlinks(file)
	if err != nil {
		return file
	}
	return resolved
}

func (disk) readlink(file string) (string, error) { return os.Readlink(file) }

// readFile reads a regular file of at most limit bytes. Its errors do not name the file: the message
// around them does.
func readFile(file string, limit int64) ([]byte, error) {
	data, err := regular.Read(file, limit)
	if err == nil {
		return data, nil
	}
	if text, own := strings.CutPrefix(err.Error(), file+": "); own { // of package regular, not os
		return nil, errors.New(text)
	}
	return nil, bare(err)
}

// bare returns an error of package os without the path.
func bare(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
