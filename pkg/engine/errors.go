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

// refusal returns what the engine said when it refused a request, and the HTTP
// status it said it with; ok is false when err is something else.
func refusal(err error) (status int, message string, ok bool) {
	var refused *docker.Error
	if errors.As(err, &refused) {
		return refused.Status, strings.TrimSpace(refused.Message), true
	}
	var missing *docker.NoSuchContainer
	if errors.As(err, &missing) {
		if missing.Err != nil {
			return refusal(missing.Err) // the start of a container says here which network is missing
		}
		return http.StatusNotFound, container.ErrNoContainer.Error(), true
	}
	return 0, "", false
}

// explain turns an error of the client library into one of ours: a connection that
// broke, a time that is over and a refusal are not the same thing to a caller.
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
	var request *url.Error // says GET http://unix.sock/..., which tells nobody anything
	if errors.As(err, &request) {
		return fmt.Errorf("%w: %w", container.ErrGone, request.Err)
	}
	if disconnected(err) {
		return fmt.Errorf("%w: %w", container.ErrGone, err)
	}
	return err
}

// disconnected says that err is the death of a connection, or that none was made.
func disconnected(err error) bool {
	var opError *net.OpError
	return errors.Is(err, docker.ErrConnectionRefused) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &opError)
}
