package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"runtests/pkg/container"
)

// stream copies the output of a container to a writer. It reads to the end even if the writer
// fails, because a container whose output nobody reads blocks.
type stream struct {
	done   chan struct{} // closed at the end, when err is set
	err    error         // why the stream ended early; nil if it did not
	sink   *sink
	frames atomic.Int64 // how many pieces of output have come
}

// attach connects out to the output of a container that has not started. It returns when the
// engine has confirmed the connection, since output before that would be lost. The connection
// ends with life.
//
// The library's own attach drops the engine's answer and every error of the stream, so that an
// attach that was refused or cut off looks like a container without output.
func (e *Engine) attach(life context.Context, id string, out io.Writer) (*stream, error) {
	conn, err := e.openAttach(life, id)
	if err != nil {
		return nil, fmt.Errorf("attach to the container: %w", err)
	}
	s := &stream{done: make(chan struct{}), sink: &sink{w: out}}
	go func() {
		defer close(s.done)
		defer conn.Close()
		s.err = s.demultiplex(conn)
	}()
	return s, nil
}

// attached is a connection that the engine has turned into a stream.
type attached struct {
	io.Reader
	io.Closer
}

func (e *Engine) openAttach(life context.Context, id string) (_ *attached, err error) {
	life, hangUp := context.WithCancelCause(life)
	defer func() {
		if err != nil {
			err = explain(life, err)
			hangUp(nil)
		}
	}()
	bound := slowCalls * e.options.CallTimeout // Podman prepares the container here
	late := time.AfterFunc(bound, func() { hangUp(&lateError{bound}) })
	defer late.Stop()
	conn, err := e.open(life)
	if err != nil {
		return nil, err
	}
	request, err := e.newRequest(life, http.MethodPost, "/containers/"+id+"/attach?stream=1&stdout=1&stderr=1", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "tcp")
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols && response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		if response.StatusCode == http.StatusNotFound {
			return nil, container.ErrNoContainer
		}
		return nil, refusalIn(response)
	}
	if !late.Stop() {
		return nil, context.Cause(life)
	}
	return &attached{Reader: reader, Closer: conn}, nil
}

// The format of a frame (Docker's API, "Stream format" of attach).
const (
	frameHeader    = 8 // stream, three zeros, length in big endian
	streamOfEngine = 3 // an error of the engine; 0 to 2 are standard input, output, error
)

// demultiplex copies the contents of the frames of both streams to the sink, in the order of
// arrival. It fails if the stream ends inside a frame.
func (s *stream) demultiplex(r io.Reader) error {
	header := make([]byte, frameHeader)
	buffer := make([]byte, 64<<10)
	for {
		if _, err := io.ReadFull(r, header); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		size := int64(binary.BigEndian.Uint32(header[4:]))
		switch {
		case header[0] > streamOfEngine || !bytes.Equal(header[1:4], []byte{0, 0, 0}):
			return errors.New("the stream is not in Docker's format")
		case header[0] == streamOfEngine:
			message, err := io.ReadAll(io.LimitReader(r, min(size, 4096)))
			return errors.Join(fmt.Errorf("the engine says: %s", bytes.TrimSpace(message)), err)
		}
		for size > 0 {
			n, err := io.ReadFull(r, buffer[:min(size, int64(len(buffer)))])
			s.frames.Add(1)
			s.sink.write(buffer[:n])
			if err != nil {
				return io.ErrUnexpectedEOF
			}
			size -= int64(n)
		}
	}
}

// drain waits for the end of the stream of a container that has ended. It gives up when nothing
// has come for the time quiet.
func (s *stream) drain(quiet time.Duration) error {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for seen := int64(-1); ; {
		select {
		case <-s.done:
			return s.err
		case <-tick.C:
			now := s.frames.Load()
			if now == seen {
				return &lateError{quiet}
			}
			seen = now
		}
	}
}

// sink writes to w. After an error it discards everything.
type sink struct {
	w     io.Writer
	err   error
	start []byte // the first bytes, up to startKept
	total int64
}

// startKept bounds start, in bytes. It is enough for the line that a container prints whose
// command cannot be executed.
const startKept = 512

func (s *sink) write(p []byte) {
	if room := startKept - len(s.start); room > 0 {
		s.start = append(s.start, p[:min(room, len(p))]...)
	}
	s.total += int64(len(p))
	if s.err != nil || len(p) == 0 {
		return
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.err = err
}

// whole returns everything that was written, and whether start holds all of it.
func (s *sink) whole() (string, bool) {
	return string(s.start), s.total == int64(len(s.start))
}
