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
)

// The faults that a caller tells apart with errors.Is. An error that has a remedy
// says it with a method Hint() string.
var (
	ErrNoEngine    = errors.New("no container engine answers")
	ErrGone        = errors.New("the engine went away or does not answer")
	ErrNoImage     = errors.New("no such image")
	ErrNoContainer = errors.New("no such container")
	ErrNameTaken   = errors.New("the name is taken by another container")
	ErrStart       = errors.New("cannot start")
	ErrInterpreter = fmt.Errorf("%w: the interpreter that the first line of its command names is not in the image", ErrStart)
	ErrTruncated   = errors.New("its output is not complete")
	ErrDisagree    = errors.New("the engine contradicts itself")
	ErrOutput      = errors.New("its output could not be written")
	ErrStillThere  = errors.New("it is still there")
	ErrInUse       = errors.New("it is in use")
	ErrNoSpace     = errors.New("no space is left on the engine's disk")
	ErrRefused     = errors.New("the engine does not take it")
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
		return http.StatusNotFound, ErrNoContainer.Error(), true
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
			return ErrNoContainer
		}
		return errors.New(message)
	}
	var late *lateError
	switch {
	case errors.Is(err, docker.ErrNoSuchImage):
		return ErrNoImage
	case errors.Is(err, docker.ErrContainerAlreadyExists):
		return ErrNameTaken
	case errors.As(err, &late):
		return fmt.Errorf("%w: %w", ErrGone, err)
	case ctx.Err() != nil:
		if errors.As(context.Cause(ctx), &late) {
			return fmt.Errorf("%w: %w", ErrGone, context.Cause(ctx))
		}
		return context.Cause(ctx)
	}
	var request *url.Error // says GET http://unix.sock/..., which tells nobody anything
	if errors.As(err, &request) {
		return fmt.Errorf("%w: %w", ErrGone, request.Err)
	}
	if disconnected(err) {
		return fmt.Errorf("%w: %w", ErrGone, err)
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
