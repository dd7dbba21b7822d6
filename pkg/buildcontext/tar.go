package buildcontext

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runtests/pkg/tree"
)

// Stream returns the context as a tar, in which everything belongs to root, as docker's client
// sends it. It hashes the files again: reading ends with an error that wraps ErrChanged as
// soon as a file is not what the digest was made of, and with the cause of ctx when that ends. No
// more than a buffer is in memory. The caller closes the stream.
func (c *Context) Stream(ctx context.Context) io.ReadCloser {
	reader, writer := io.Pipe()
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer stop()
		writer.CloseWithError(c.send(ctx, writer))
	}()
	return reader
}

// send writes the tar.
func (c *Context) send(ctx context.Context, w io.Writer) error {
	files, err := tree.Open(c.dir)
	if err != nil {
		return unreadable(err)
	}
	defer files.Close()
	finder := files.Finder()
	defer finder.Close()
	out := bufio.NewWriterSize(w, bufferSize)
	s := &sender{ctx: ctx, finder: finder, tar: tar.NewWriter(out), buffer: make([]byte, bufferSize)}
	for _, e := range c.entries {
		if err := s.send(e); err != nil {
			return err
		}
	}
	return errors.Join(s.tar.Close(), out.Flush())
}

// sender writes entries to a tar.
type sender struct {
	ctx    context.Context
	finder *tree.Finder
	tar    *tar.Writer
	buffer []byte
}

func (s *sender) send(e *entry) error {
	switch {
	case e.first != nil:
		return s.header(e, tar.Header{Typeflag: tar.TypeLink, Linkname: e.first.path}, time.Time{})
	case e.content != nil:
		return s.file(e, bytes.NewReader(e.content), time.Time{})
	case e.kind == 0:
		return s.diskFile(e)
	}
	return s.special(e)
}

// diskFile sends a file from disk, which must be unchanged.
func (s *sender) diskFile(e *entry) error {
	file, stat, err := e.open(s.finder)
	if err != nil {
		return unreadable(err)
	}
	defer file.Close()
	if stat.Size != e.size || stat.Mode&0o7777 != e.perm {
		return changed(e)
	}
	return s.file(e, file, modified(stat))
}

// file sends a header and the content, which must have the size in the header even if the file
// changes meanwhile.
func (s *sender) file(e *entry, content io.Reader, modified time.Time) error {
	if err := s.header(e, tar.Header{Typeflag: tar.TypeReg, Size: e.size}, modified); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(s.tar, sum), io.LimitReader(&contextReader{s.ctx, content}, e.size), s.buffer)
	if err != nil {
		return err
	}
	if n != e.size || [sha256.Size]byte(sum.Sum(nil)) != e.sum {
		return changed(e)
	}
	return nil
}

// special sends an entry without content.
func (s *sender) special(e *entry) error {
	found, err := e.find(s.finder)
	if err != nil {
		return unreadable(err)
	}
	defer found.Close()
	stat := found.Info.Sys().(*syscall.Stat_t)
	now := entry{path: e.path, kind: found.Info.Mode().Type(), perm: stat.Mode & 0o7777}
	header := tar.Header{}
	switch e.kind {
	case fs.ModeDir:
		header.Typeflag = tar.TypeDir
	case fs.ModeSymlink:
		header.Typeflag = tar.TypeSymlink
		if now.link, err = found.Readlink(); err != nil {
			return changed(e)
		}
		header.Linkname = now.link
	case fs.ModeNamedPipe:
		header.Typeflag = tar.TypeFifo
	default:
		now.device = stat.Rdev
		header.Typeflag = tar.TypeBlock
		if e.kind&fs.ModeCharDevice != 0 {
			header.Typeflag = tar.TypeChar
		}
		header.Devmajor, header.Devminor = int64(unix.Major(stat.Rdev)), int64(unix.Minor(stat.Rdev))
	}
	if now.kind != e.kind || now.perm != e.perm || now.value() != e.value() {
		return changed(e)
	}
	return s.header(e, header, modified(stat))
}

// header writes the header of an entry. The format PAX allows names of any bytes and any length.
func (s *sender) header(e *entry, h tar.Header, modified time.Time) error {
	h.Format = tar.FormatPAX
	h.Name = e.path
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	h.Mode = int64(e.perm)
	h.ModTime = modified
	if err := s.tar.WriteHeader(&h); err != nil {
		return fmt.Errorf("send %q: %w", e.path, err)
	}
	return nil
}

// modified returns when a file was last written to, in whole seconds: fractions would need an extra
// header for each file.
func modified(stat *syscall.Stat_t) time.Time {
	return time.Unix(stat.Mtim.Sec, 0)
}
