package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"runtests/pkg/container"
	"runtests/pkg/hint"
)

// Save returns the archive of an image, as `docker save` does (ErrNoImage). The caller closes it.
// The engine first writes the whole archive to its own disk. Read fails with ErrGone if the
// engine gives no sign of life, or ends the archive early.
func (e *Engine) Save(ctx context.Context, image string) (io.ReadCloser, error) {
	if err := checkReference(image); err != nil {
		return nil, err
	}
	life, hangUp := context.WithCancelCause(ctx)
	s := &saved{ctx: life, hangUp: hangUp}
	silent := e.watch(life, "it saved an image", s.count.Load)
	go func() {
		select {
		case err := <-silent:
			hangUp(err)
		case <-life.Done():
		}
	}()
	response, err := e.send(life, http.MethodGet, "/images/"+image+"/get", nil) //nolint:bodyclose // Close of saved does
	if err != nil {
		status, _, _ := refusal(err)
		if err = explain(life, err); status == http.StatusNotFound {
			err = container.ErrNoImage
		}
		hangUp(nil)
		return nil, fmt.Errorf("save the image %q: %w", image, err)
	}
	s.body = response.Body
	return s, nil
}

// saved is an archive that comes from the engine.
type saved struct {
	ctx    context.Context
	hangUp context.CancelCauseFunc
	body   io.ReadCloser
	count  atomic.Int64 // bytes
}

// Read reads the archive.
func (s *saved) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	s.count.Add(int64(n))
	if err != nil && err != io.EOF { //nolint:errorlint // readers compare with ==, as the package io demands
		err = fmt.Errorf("save an image: %w", explain(s.ctx, err))
	}
	return n, err
}

// Close closes the connection.
func (s *saved) Close() error {
	s.hangUp(nil)
	return s.body.Close()
}

// Load sends the archive of an image to the engine, as `docker load` does. Its errors are
// ErrNoSpace, ErrGone, ErrRefused (the engine does not accept the archive), and that of reading
// the archive. The engine ignores an archive that it did not get completely; if ctx ends after
// that, it may still load it.
func (e *Engine) Load(ctx context.Context, archive io.Reader) error {
	life, hangUp := context.WithCancel(ctx)
	defer hangUp()
	body := newSource(archive)
	stop := context.AfterFunc(life, func() { body.CloseWithError(errNotWanted) }) // the client's transport does not return while it reads
	defer stop()
	counted := &meter{r: body}
	err := e.whileAlive(life, "it loaded an image", counted.n.Load, func(ctx context.Context) error { return e.load(ctx, counted) })
	if errArchive := body.end(); errArchive != nil {
		err = errArchive
	}
	if err != nil {
		return fmt.Errorf("load an image: %w", err)
	}
	return nil
}

func (e *Engine) load(ctx context.Context, archive io.Reader) error {
	response, err := e.send(ctx, http.MethodPost, "/images/load?quiet=1", archive)
	if err != nil {
		if _, message, ok := refusal(err); ok {
			return loadFault(message)
		}
		return explain(ctx, err)
	}
	defer response.Body.Close()
	loaded := false
	for values := json.NewDecoder(response.Body); ; {
		var m buildMessage
		switch err := values.Decode(&m); {
		case errors.Is(err, io.EOF) && loaded:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: it did not confirm that it has the image", container.ErrGone)
		case err != nil:
			return explain(ctx, err)
		case m.ErrorDetail.Message != "":
			return loadFault(m.ErrorDetail.Message)
		case m.Error != "":
			return loadFault(m.Error)
		}
		loaded = loaded || m.Stream != ""
	}
}

// loadFault returns the error for the message of an engine that did not load an image.
func loadFault(message string) error {
	if saysFull(message) {
		return hint.Wrap(fmt.Errorf("%w: %s", container.ErrNoSpace, message),
			"`docker system df` on that machine shows what can be removed; loading an image takes twice the size of what is sent")
	}
	return fmt.Errorf("%w: %s", container.ErrRefused, message)
}

// meter counts the bytes that are read.
type meter struct {
	r io.Reader
	n atomic.Int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n.Add(int64(n))
	return n, err
}
