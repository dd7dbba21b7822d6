package buildcontext

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"runtests/pkg/regular"
)

// outsideName is what a Dockerfile that is not in the context is called in the tar.
const outsideName = ".runtests.Dockerfile"

// readDockerfile reads the Dockerfile, and sets its name in the tar when it is in the
// context. A link to it is followed; what it is in the context is up to the walk.
func (c *Context) readDockerfile(dockerfile string) error {
	real, err := filepath.EvalSymlinks(dockerfile)
	if err == nil {
		c.dockerfile, err = regular.Read(real, MaxDockerfile)
	}
	if err != nil {
		return dockerfileFault(err)
	}
	if c.dockerfile == nil {
		c.dockerfile = []byte{}
	}
	name, err := filepath.Rel(c.dir, real)
	if err == nil && filepath.IsLocal(name) {
		c.name = name
	}
	return nil
}

func dockerfileFault(err error) error {
	err = fmt.Errorf("read the Dockerfile: %w", err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &contextError{err, "write one there, or say with build.dockerfile which file it is"}
	case errors.Is(err, fs.ErrPermission):
		return &contextError{err, "let this user read it"}
	}
	return err
}

// placeDockerfile gives the Dockerfile its entry: its own in the context, with the content
// that was read; or a new one, which .dockerignore then names, so that the engine takes it
// out of the context again (the classic builder and Podman do, BuildKit does not look).
func (c *Context) placeDockerfile() error {
	if c.name != "" {
		e := c.entry(c.name)
		if e == nil || e.kind != 0 { // it was there a moment ago
			return changed(&entry{path: c.name})
		}
		e.content = c.dockerfile
		return nil
	}
	c.name = outsideName
	for n := 2; c.entry(c.name) != nil; n++ {
		c.name = fmt.Sprintf("%s-%d", outsideName, n)
	}
	c.entries = append(c.entries, &entry{path: c.name, perm: 0o600, content: c.dockerfile})
	return c.ignoreDockerfile()
}

// ignoreDockerfile appends the name of the Dockerfile to the .dockerignore that is sent, or
// sends one that ignores itself too.
func (c *Context) ignoreDockerfile() error {
	content := []byte(IgnoreFile)
	e := c.entry(IgnoreFile)
	switch {
	case e == nil:
		e = &entry{path: IgnoreFile, perm: 0o600}
		c.entries = append(c.entries, e)
	case e.kind == fs.ModeDir:
		return nil
	default:
		var err error
		if content, err = regular.Read(filepath.Join(c.dir, IgnoreFile), MaxDockerfile); err != nil {
			return unreadable(err)
		}
	}
	e.kind, e.first, e.link = 0, nil, ""
	e.content = fmt.Appendf(bytes.Clone(content), "\n%s\n", c.name)
	return nil
}

// entry finds an entry by its path; nil: there is none.
func (c *Context) entry(name string) *entry {
	i := slices.IndexFunc(c.entries, func(e *entry) bool { return e.path == name })
	if i < 0 {
		return nil
	}
	return c.entries[i]
}
