package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// refusal returns the HTTP status and the message with which the engine refused a request; ok
// is false if err is something else.
func refusal(err error) (status int, message string, ok bool) {
	var refused *docker.Error
	if errors.As(err, &refused) {
		return refused.Status, strings.TrimSpace(refused.Message), true
	}
	var missing *docker.NoSuchContainer
	if errors.As(err, &missing) {
		if missing.Err != nil {
			return refusal(missing.Err) // when a container starts, this may say which network is missing
		}
		return http.StatusNotFound, container.ErrNoContainer.Error(), true
	}
	return 0, "", false
}

// explain turns an error of the client library into one of package container, so that callers
// can tell a broken connection, a bound that is over and a refusal apart.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, message, ok := refusal(err); ok {
		var missing *docker.NoSuchContainer
		if errors.As(err, &missing) && missing.Err == nil {
			return container.ErrNoContainer
		}
		return errors.New(message)
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
