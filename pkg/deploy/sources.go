package deploy

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"

	"runtests/pkg/hint"
	"runtests/pkg/suite"
)

// Sources is what the files of a deployment held at some time, by their paths on this machine.
type Sources map[string]source

// source is what a file held.
type source struct {
	digest [sha256.Size]byte
	err    error // why it could not be read
}

// ReadSources reads the files that a deployment copies. Call it before the tests run: a promotion refuses a file that has
// changed since then, as a test may have changed it. A file that cannot be read is an error only of the promotion.
func ReadSources(d suite.Deployment) Sources {
	all := Sources{}
	for _, f := range d.Files {
		all[f.Source] = readSource(f)
	}
	return all
}

func readSource(f suite.File) source {
	text, _, err := readWhole(f)
	return source{sha256.Sum256(text), err}
}

// add copies the file into the archive under that name, if it is still what it was.
func (all Sources) add(out *tar.Writer, name string, f suite.File) error {
	was, known := all[f.Source]
	if was.err != nil {
		return was.err
	}
	text, mode, err := readWhole(f)
	if err != nil {
		return err
	}
	if known && sha256.Sum256(text) != was.digest {
		return hint.Errorf(
			"if you changed it, deploy again; if a test writes it, keep it out of the directories that tests can write",
			"the file %s has changed since the tests began", f.Source)
	}
	return addFile(out, name, int64(mode.Perm()), bytes.NewReader(text), int64(len(text)))
}

// readWhole reads a file of at most suite.MaxFileBytes, so that what is compared is what is sent.
func readWhole(f suite.File) (text []byte, mode fs.FileMode, err error) {
	file, err := f.Open()
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err = io.ReadAll(io.LimitReader(file, suite.MaxFileBytes+1))
	if err == nil && len(text) > suite.MaxFileBytes {
		err = fmt.Errorf("it has more than %d MiB", suite.MaxFileBytes>>20)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", f.Source, err)
	}
	return text, info.Mode(), nil
}
