package suite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxEnvFile bounds an env_file, a password_file and a ca_file, in bytes.
const maxEnvFile = 1 << 20

// files is what a suite file may look at besides itself.
type files interface {
	// read returns a regular file of at most limit bytes. Its errors do not name the file.
	read(file string, limit int64) ([]byte, error)
	// directories returns those that an absolute pattern matches, hidden ones left out.
	directories(pattern string) ([]string, error)
	mode(file string) (fs.FileMode, error)
	// resolve returns file without symbolic links, as far as it exists.
	resolve(file string) string
}

// disk is the files of this machine.
type disk struct{}

func (disk) read(file string, limit int64) ([]byte, error) { return readBounded(file, limit) }

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
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return file
	}
	return real
}

// readBounded reads a regular file of at most limit bytes. Its errors do not name the file.
func readBounded(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, bare(err)
	}
	switch {
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular() && !strings.HasPrefix(file, "/dev/"): // a named pipe waits for ever for its writer
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, bare(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return data, nil
}

// bare strips the path from an error of package os: the message around it names the file.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
