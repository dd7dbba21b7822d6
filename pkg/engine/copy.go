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
	"path"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/tree"
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
		err := pack(ctx, writer, c.Source, under)
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
	var errPack error
	select {
	case errPack = <-packed:
	case <-ctx.Done(): // a file system that does not answer (FUSE, NFS) may hold pack up for ever
	}
	if errPack != nil && ctx.Err() == nil && !errors.Is(errPack, errNotWanted) {
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
func pack(ctx context.Context, w io.Writer, source, under string) error {
	from, err := tree.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	archive := tar.NewWriter(w)
	err = from.Walk(ctx, func(e *tree.Entry, err error) error {
		if err != nil {
			return err
		}
		return packEntry(ctx, archive, e, path.Join(under, e.Path))
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// packEntry adds an entry to the archive, under the name as.
func packEntry(ctx context.Context, archive *tar.Writer, e *tree.Entry, as string) error {
	switch mode := e.Info.Mode(); {
	case mode&fs.ModeSocket != 0:
		return nil // nothing would listen on the copy
	case mode&fs.ModeSymlink != 0:
		link, err := e.Readlink()
		if err != nil {
			return err
		}
		return packHeader(archive, e.Info, as, link)
	case mode.IsRegular():
		return packFile(ctx, archive, e, as)
	}
	return packHeader(archive, e.Info, as, "")
}

func packHeader(archive *tar.Writer, info fs.FileInfo, as, link string) error {
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
	return archive.WriteHeader(header)
}

// packFile adds a file as it was when it was opened.
func packFile(ctx context.Context, archive *tar.Writer, e *tree.Entry, as string) error {
	file, err := e.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	if err := packHeader(archive, e.Info, as, ""); err != nil {
		return err
	}
	_, err = io.CopyN(archive, &untilDone{ctx, file}, e.Info.Size())
	if errors.Is(err, io.EOF) {
		err = errors.New("it became shorter while it was read")
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file.Name(), err)
	}
	return nil
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

// Read fails with the cause of the context's end.
func (r *untilDone) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}
