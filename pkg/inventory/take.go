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

// ErrNoShell is what TakeInventory's error wraps when the image has no /bin/sh: what is
// installed in it cannot be asked.
var ErrNoShell = errors.New("the image has no shell")

// The bounds of an inventory.
const (
	inventoryTimeout = 2 * time.Minute
	managerTimeout   = 30       // seconds, for one package manager
	managerBytes     = 2 << 20  // of the output of one
	inventoryBytes   = 16 << 20 // of the output of all
	inventoryMemory  = 1 << 30  // bytes, of the container
	inventoryPids    = 256      // processes, of the container
	removeTimeout    = time.Minute
)

// ContainerRunner is what taking an inventory needs of a container engine.
type ContainerRunner interface {
	Run(ctx context.Context, c container.Container, output io.Writer) (container.Exit, error)
	Remove(ctx context.Context, id string) error
}

// TakeInventory asks the package managers of an image, in one container without a network
// that is removed afterwards, what is installed. c says the image's ID, and the name and
// the labels of the container; the rest is set here. A manager that fails is in
// Inventory.Failed and keeps no other from answering; what an image prints is never trusted.
func Take(ctx context.Context, e ContainerRunner, c container.Container) (Inventory, error) {
	found, err := takeInventory(ctx, e, c)
	if err != nil {
		return Inventory{}, fmt.Errorf("take the inventory of the image %s: %w", c.Image, err)
	}
	return found, nil
}

func takeInventory(ctx context.Context, e ContainerRunner, c container.Container) (found Inventory, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, inventoryTimeout, fmt.Errorf("it took more than %s", inventoryTimeout))
	defer cancel()
	mark := rand.Text()
	c.Entrypoint = []string{"/bin/sh"}
	c.Command = []string{"-c", inventoryScript(mark)}
	c.User, c.WorkingDir = "0:0", "/"
	c.NetworkMode = "none"
	c.Memory, c.PidsLimit = inventoryMemory, inventoryPids
	c.SecurityOpt = []string{"no-new-privileges:true"}
	c.StopGrace = time.Second
	output := &boundedBuffer{limit: inventoryBytes}
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
	found, err = parseInventory(output.Bytes(), mark)
	found.ImageID, found.Taken = c.Image, time.Now()
	return found, err
}

// noShell says that a container could not start since /bin/sh is not there, or cannot be executed.
func noShell(err error) bool {
	return errors.Is(err, container.ErrInterpreter) || errors.Is(err, container.ErrStart) && strings.Contains(err.Error(), `"/bin/sh"`)
}

// boundedBuffer is a buffer that takes no more than its limit.
type boundedBuffer struct {
	bytes.Buffer
	limit int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, fmt.Errorf("it is longer than %d MiB", b.limit>>20)
	}
	return b.Buffer.Write(p)
}
