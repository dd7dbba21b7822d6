package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

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
	ctx, progress, end := e.untilStalled(ctx)
	defer end()
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(writer, c.Source, under)
		writer.CloseWithError(err)
		packed <- err
	}()
	stop := context.AfterFunc(ctx, func() { reader.CloseWithError(errNotWanted) }) // the client's transport does not return while it reads
	defer stop()
	query := url.Values{"path": {into}, "noOverwriteDirNonDir": {"1"}}
	response, err := e.call(ctx, http.MethodPut, "/containers/"+id+"/archive?"+query.Encode(), &tap{reader, progress})
	if err == nil {
		response.Body.Close()
	}
	reader.CloseWithError(errNotWanted)
	if errPack := <-packed; errPack != nil && !errors.Is(errPack, errNotWanted) {
		return fmt.Errorf("copy %s: %w", c.Source, errPack)
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", c.Source, c.Target, err)
	}
	return nil
}

// errNotWanted ends the writing of an archive that the engine no longer reads.
var errNotWanted = errors.New("the engine reads no more of it")

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
