package inventory

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"runtests/pkg/container"
)

// ErrNoShell is the error of Take for an image without /bin/sh, which cannot be asked.
var ErrNoShell = errors.New("the image has no shell")

// The bounds of an inventory.
const (
	takeTimeout     = 2 * time.Minute
	managerTimeout  = 30       // seconds, for one package manager
	managerBytes    = 2 << 20  // of the output of one package manager
	outputBytes     = 16 << 20 // of the output of all
	maxPackages     = 30_000   // of one package manager
	containerMemory = 1 << 30  // bytes
	containerPids   = 256      // processes
	removeTimeout   = time.Minute
)

// Runner is what taking an inventory needs of a container engine.
type Runner interface {
	Run(ctx context.Context, c container.Container, output io.Writer) (container.Exit, error)
	Remove(ctx context.Context, id string) error
}

// Of returns the inventory of an image: the one in the folder logs, or else a new one, which it
// saves there. c is as for Take, except that Of chooses the container's name.
func Of(ctx context.Context, e Runner, logs string, c container.Container) (Inventory, error) {
	if known, err := Load(logs, c.Image); err == nil {
		return known, nil
	}
	taken, err := Take(ctx, e, c.Named("runtests-inventory-"+strings.ToLower(rand.Text()[:8])))
	if err != nil {
		return taken, err
	}
	return taken, Save(logs, taken)
}

// Take asks the package managers of an image which packages are installed, in one container without
// a network, which it removes. c has the image's ID and the name, the platform and the labels of
// the container; Take sets the rest. A manager that fails is in Inventory.Failed and does not keep
// the others from answering. The output of the image is not trusted.
func Take(ctx context.Context, e Runner, c container.Container) (Inventory, error) {
	found, err := take(ctx, e, c)
	if err != nil {
		return Inventory{}, fmt.Errorf("take the inventory of the image %s: %w", c.Image, err)
	}
	return found, nil
}

func take(ctx context.Context, e Runner, c container.Container) (found Inventory, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, takeTimeout, fmt.Errorf("it took more than %s", takeTimeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	mark := rand.Text()
	c.Entrypoint = []string{"/bin/sh"}
	c.Command = []string{"-c", allScript(mark)}
	c.User, c.WorkingDir = "0:0", "/"
	c.NetworkMode = "none"
	c.Memory, c.PidsLimit = containerMemory, containerPids
	c.SecurityOpt = []string{"no-new-privileges:true"}
	c.StopGrace = time.Second
	output := &boundedBuffer{limit: outputBytes, full: stop}
	exit, err := e.Run(ctx, c, output)
	if exit.ID != "" {
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
			defer cancel()
			err = errors.Join(err, e.Remove(ctx, exit.ID))
		}()
	}
	switch {
	case noShell(err):
		return found, fmt.Errorf("%w: %w", ErrNoShell, err)
	case err != nil:
		return found, err
	case exit.Stopped:
		return found, context.Cause(ctx)
	}
	found, err = parseOutput(output.Bytes(), mark)
	found.ImageID, found.Taken = c.Image, time.Now()
	return found, err
}

// noShell reports whether a container could not start because /bin/sh is missing or cannot be
// executed.
func noShell(err error) bool {
	return errors.Is(err, container.ErrInterpreter) || errors.Is(err, container.ErrStart) && strings.Contains(err.Error(), `"/bin/sh"`)
}

// boundedBuffer is a buffer that refuses to hold more than its limit, and then calls full: whoever writes
// may go on for ever.
type boundedBuffer struct {
	bytes.Buffer
	limit int // bytes
	full  context.CancelCauseFunc
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		err := fmt.Errorf("its answer is longer than %d MiB", b.limit>>20)
		b.full(err)
		return 0, err
	}
	return b.Buffer.Write(p)
}
