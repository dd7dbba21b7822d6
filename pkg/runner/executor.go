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
	// Check returns the settings of a container that the executor cannot honour. It is called for
	// each step before anything runs. What Check cannot know, Run reports.
	Check(ctx context.Context, c container.Container) ([]container.Unsupported, error)
	// Run creates a container, runs it to its end and writes all that it prints to output, byte
	// for byte. If Exit.ID is set, the container still exists afterwards, even after an error.
	// If ctx ends first, the container gets TERM, after its grace KILL, and Exit.Stopped is true.
	// If ctx ends before the start, the error wraps its cause. The other errors are those of
	// pkg/container.
	Run(ctx context.Context, c container.Container, output io.Writer) (container.Exit, error)
	// Remove removes a container in any state, with its anonymous volumes. If there is no such
	// container, it returns nil.
	Remove(ctx context.Context, id string) error
	// Containers lists the containers in any state that have all these labels. An empty
	// value stands for any value.
	Containers(ctx context.Context, labels map[string]string) ([]container.Summary, error)
	// Ping returns nil if the executor answers.
	Ping(ctx context.Context) error
}

// Keeper renames containers that are to be kept.
type Keeper interface {
	// ContainerNamed returns the container with exactly that name; ok is false if there is none.
	ContainerNamed(ctx context.Context, name string) (c container.Summary, ok bool, err error)
	// Inspect returns the container with that ID, and how it last ended (container.ErrNoContainer).
	// Exit's times and its status are the same as Run returned, unless the container was started
	// again.
	Inspect(ctx context.Context, id string) (container.Summary, container.Exit, error)
	// Rename renames a container (container.ErrNameTaken, container.ErrNoContainer).
	Rename(ctx context.Context, id, name string) error
}

// ImageStore holds the images that an executor runs.
type ImageStore interface {
	// Image returns an image by reference or ID (container.ErrNoImage).
	Image(ctx context.Context, ref string) (container.Image, error)
	// Pull pulls an image from its registry.
	Pull(ctx context.Context, ref, platform string, progress io.Writer) error
}
