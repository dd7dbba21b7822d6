package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
	"runtests/pkg/plain"
)

// refusal is the error of a request that the engine refused.
type refusal struct {
	status  int // HTTP's
	message string
}

// Error returns the engine's message, of which no line looks like one of ours.
func (r *refusal) Error() string { return plain.Message(r.message) }

// refusalOf returns the engine's message if err is a refusal, or "".
func refusalOf(err error) string {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.message
	}
	return ""
}

// refusedWith reports whether err is a refusal with that status.
func refusedWith(err error, status int) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == status
}

// explain turns an error of the client library into one of package container or a refusal, so that
// callers can tell a broken connection, a bound that is over and a refusal apart.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var missing *docker.NoSuchContainer
	if errors.As(err, &missing) {
		if missing.Err == nil {
			return container.ErrNoContainer
		}
		err = missing.Err // when a container starts, this may say which network is missing
	}
	var answer *docker.Error
	if errors.As(err, &answer) {
		return &refusal{answer.Status, strings.TrimSpace(answer.Message)}
	}
	var late *lateError
	switch {
	case errors.Is(err, docker.ErrNoSuchImage):
		return container.ErrNoImage
	case errors.Is(err, docker.ErrContainerAlreadyExists):
		return container.ErrNameTaken
	case errors.As(err, &late):
		return fmt.Errorf("%w: %w", container.ErrGone, err)
	case ctx.Err() != nil:
		if errors.As(context.Cause(ctx), &late) {
			return fmt.Errorf("%w: %w", container.ErrGone, context.Cause(ctx))
		}
		return context.Cause(ctx)
	}
	var request *url.Error // its text begins with GET http://unix.sock/..., which helps nobody
	if errors.As(err, &request) {
		return fmt.Errorf("%w: %w", container.ErrGone, request.Err)
	}
	if disconnected(err) {
		return fmt.Errorf("%w: %w", container.ErrGone, err)
	}
	return err
}

// disconnected reports whether a connection broke or could not be made.
func disconnected(err error) bool {
	var opError *net.OpError
	return errors.Is(err, docker.ErrConnectionRefused) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &opError)
}
