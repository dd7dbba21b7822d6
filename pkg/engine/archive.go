package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/jsonmessage"
	"runtests/pkg/plain"
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
	response, err := e.call(life, http.MethodGet, "/images/"+image+"/get", nil) //nolint:bodyclose // Close of saved does
	if err != nil {
		if refusedWith(err, http.StatusNotFound) {
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
	var count atomic.Int64 // bytes
	err := e.whileAlive(life, "it loaded an image", count.Load, func(ctx context.Context) error {
		return e.load(ctx, &tap{body, func(n int) { count.Add(int64(n)) }})
	})
	if errArchive := body.end(); errArchive != nil {
		err = errArchive
	}
	if err != nil {
		return fmt.Errorf("load an image: %w", err)
	}
	return nil
}

func (e *Engine) load(ctx context.Context, archive io.Reader) error {
	response, err := e.call(ctx, http.MethodPost, "/images/load?quiet=1", archive)
	if message := refusalOf(err); message != "" {
		return loadFault(message)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	loaded := false
	for m, err := range jsonmessage.All(response.Body) {
		if err != nil {
			return explain(ctx, err)
		}
		if failure := m.Failure(); failure != "" {
			return loadFault(failure)
		}
		loaded = loaded || m.Stream != ""
	}
	if !loaded {
		return fmt.Errorf("%w: it did not confirm that it has the image", container.ErrGone)
	}
	return nil
}

// loadFault returns the error for the message of an engine that did not load an image.
func loadFault(message string) error {
	message = plain.Message(message)
	if container.SaysNoSpace(message) {
		return hint.Wrap(fmt.Errorf("%w: %s", container.ErrNoSpace, message),
			"`docker system df` on that machine shows what can be removed; loading an image takes twice the size of what is sent")
	}
	return fmt.Errorf("%w: %s", container.ErrRefused, message)
}
