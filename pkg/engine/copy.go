package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// copyIn copies a directory into a container that has not started. Modes, owners and links are
// kept, sockets are left out. It fails if it cannot read everything.
//
// The archive starts at the root, so that the target and its parents are created. In a container
// whose root is read-only it starts at the target, which is a volume (container.AllMounts).
func (e *Engine) copyIn(ctx context.Context, id string, c container.Copy, readOnly bool) error {
	into, under := "/", c.Target
	if readOnly {
		into, under = c.Target, "/"
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(e.options.StallTimeout, func() { cancel(&lateError{e.options.StallTimeout}) })
	defer stalled.Stop()
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(&pacer{writer, stalled, e.options.StallTimeout}, c.Source, under)
		writer.CloseWithError(err)
		packed <- err
	}()
	err := e.client(ctx).UploadToContainer(id, docker.UploadToContainerOptions{
		InputStream: reader, Path: into, NoOverwriteDirNonDir: true, Context: ctx,
	})
	reader.CloseWithError(errNotWanted)
	if errPack := <-packed; errPack != nil && !errors.Is(errPack, errNotWanted) {
		return fmt.Errorf("copy %s: %w", c.Source, errPack)
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, explain(ctx, err))
	}
	return nil
}

// errNotWanted ends the writing of an archive that the engine no longer reads.
var errNotWanted = errors.New("the engine reads no more of it")

// pacer restarts the timer of a stalled transfer with each write.
type pacer struct {
	w     io.Writer
	timer *time.Timer
	bound time.Duration
}

func (p *pacer) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.timer.Reset(p.bound)
	return n, err
}

// pack writes a directory as a tar archive, in which the directory has the name under.
//
// moby/go-archive does not do: it logs a file that it cannot read, and goes on without it.
func pack(w io.Writer, source, under string) error {
	archive := tar.NewWriter(w)
	root, err := filepath.EvalSymlinks(source)
	if err != nil {
		return err
	}
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return packEntry(archive, name, path.Join(under, filepath.ToSlash(relative)), entry)
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// packEntry adds one file to the archive, under the name as.
func packEntry(archive *tar.Writer, name, as string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return nil // nothing would listen on the copy
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(name); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name = strings.TrimPrefix(as, "/")
	header.Uname, header.Gname = "", "" // the users of this machine are not those of the container
	header.Format = tar.FormatPAX       // for names and sizes without a limit, and fractions of a second
	if info.IsDir() {
		header.Name = path.Join(".", header.Name) + "/"
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyN(archive, file, header.Size); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
