package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"runtests/pkg/hint"
	"runtests/pkg/regular"
)

// ReadFile reads a file that belongs to a context, a Dockerfile or a .dockerignore, of at most
// MaxDockerfile bytes. dir is the directory of the context. name is the file's path in it without
// links, or empty if the file is not in it.
//
// A repository can have any link. So a file that is named as one of the context is read only if it is
// in there: otherwise a build could show a file that only we can read.
func ReadFile(dir, file string) (content []byte, name string, err error) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, "", opening(file, err)
	}
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, "", err
	}
	name, inside := relative(realDir, real)
	if inside {
		content, err = readIn(realDir, name)
		return content, name, opening(file, err)
	}
	_, named := relative(dir, file)
	if _, namedReal := relative(realDir, file); named || namedReal {
		return nil, "", hint.Wrap(fmt.Errorf("%s is a link that leads out of the context", file), "put the file there; or, for a Dockerfile, name it: dockerfile: "+real)
	}
	content, err = regular.Read(real, MaxDockerfile)
	return content, "", err
}

// opening returns err as the error of opening file by that name.
func opening(file string, err error) error {
	var named *fs.PathError
	switch {
	case errors.Is(err, regular.ErrNot):
		return fmt.Errorf("%s: %w", file, regular.ErrNot)
	case errors.As(err, &named):
		return &fs.PathError{Op: "open", Path: file, Err: named.Err}
	}
	return err
}

// relative returns file relative to dir; ok is false if it is not below dir.
func relative(dir, file string) (name string, ok bool) {
	name, err := filepath.Rel(dir, file)
	return name, err == nil && filepath.IsLocal(name)
}

// readIn reads the file of that name below dir, wherever links that were made meanwhile lead.
func readIn(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return regular.ReadIn(root, name, MaxDockerfile)
}
