package engine

import (
	"context"

	"runtests/pkg/container"
)

// Create makes a container that does not run yet, and returns its ID (ErrNoImage,
// ErrNameTaken, ErrGone). It does not end with ctx: a container that is given up while it
// is made is one whose ID nobody knows.
func (e *Engine) Create(ctx context.Context, c container.Container) (id string, err error) {
	r := &running{engine: e, container: c, life: context.WithoutCancel(ctx)}
	err = r.create()
	return r.exit.ID, err
}
