package buildcontext

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"runtests/pkg/hint"
)

// outsideName is the name in the tar of a Dockerfile that is not in the context.
const outsideName = ".runtests.Dockerfile"

// readDockerfile reads the Dockerfile, and sets its name in the tar if it is in the context, whose
// directory is named dir.
func (c *Context) readDockerfile(dir, dockerfile string) (err error) {
	if c.dockerfile, c.name, err = ReadFile(dir, dockerfile); err != nil {
		return dockerfileFault(err)
	}
	if c.dockerfile == nil {
		c.dockerfile = []byte{}
	}
	return nil
}

func dockerfileFault(err error) error {
	err = fmt.Errorf("read the Dockerfile: %w", err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.Wrap(err, "write one there, or name another file in build.dockerfile")
	case errors.Is(err, fs.ErrPermission):
		return hint.Wrap(err, "let this user read it")
	}
	return err
}

// placeDockerfile sets the content of the Dockerfile's entry to what was read. For a Dockerfile
// outside the context it adds an entry and names it in .dockerignore, so that the classic builder
// and Podman take it out of the context again; BuildKit never shows it to the build.
func (c *Context) placeDockerfile() error {
	if c.name != "" {
		e := c.entry(c.name)
		if e == nil || e.kind != 0 { // it was there when it was read
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

// ignoreDockerfile appends the name of the Dockerfile to the .dockerignore that is sent. If there is
// none, it adds one that ignores itself too.
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
		if content, _, err = ReadFile(c.dir, filepath.Join(c.dir, IgnoreFile)); err != nil {
			return unreadable(err)
		}
	}
	e.kind, e.first, e.link = 0, nil, ""
	e.content = fmt.Appendf(bytes.Clone(content), "\n%s\n", c.name)
	return nil
}

// entry returns the entry with that path, or nil.
func (c *Context) entry(name string) *entry {
	i := slices.IndexFunc(c.entries, func(e *entry) bool { return e.path == name })
	if i < 0 {
		return nil
	}
	return c.entries[i]
}
