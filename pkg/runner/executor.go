package runner

import (
	"context"
	"io"

	"runtests/pkg/container"
)

// Executor runs the containers of steps. The suite of pkg/runner/conformance says what its
// methods promise, and every implementation passes it. No call hangs on an executor that
// does not answer: it fails with container.ErrGone within a bound of the executor's own.
type Executor interface {
	// Check returns the settings of a container that the executor cannot honour. A run asks
	// for each step before it runs anything. What Check cannot know, Run reports.
	Check(ctx context.Context, c container.Container) ([]container.Unsupported, error)
	// Run creates a container, runs it to its end and writes all that it prints to output,
	// byte for byte. The container is still there afterwards, also with an error, whenever
	// Exit.ID is set. When ctx ends first, the container gets TERM, after its grace KILL, and
	// Exit.Stopped is true; a ctx that ends before the start is an error that wraps its cause.
	// The other errors are those of pkg/container.
	Run(ctx context.Context, c container.Container, output io.Writer) (container.Exit, error)
	// Remove removes a container in any state, with its anonymous volumes. To remove what is
	// not there is no error.
	Remove(ctx context.Context, id string) error
	// Containers lists the containers in any state that have all these labels. An empty
	// value stands for any value.
	Containers(ctx context.Context, labels map[string]string) ([]container.Summary, error)
	// Ping returns nil when the executor answers.
	Ping(ctx context.Context) error
}

// Keeper gives containers the names to keep them by.
type Keeper interface {
	// ContainerNamed returns the container with exactly that name; ok is false when none has it.
	ContainerNamed(ctx context.Context, name string) (c container.Summary, ok bool, err error)
	// Rename gives a container another name (container.ErrNameTaken, container.ErrNoContainer).
	Rename(ctx context.Context, id, name string) error
}

// ImageStore holds the images that an executor runs.
type ImageStore interface {
	// Image returns an image by reference or ID (container.ErrNoImage).
	Image(ctx context.Context, ref string) (container.Image, error)
	// Pull gets an image from its registry.
	Pull(ctx context.Context, ref, platform string, progress io.Writer) error
}
