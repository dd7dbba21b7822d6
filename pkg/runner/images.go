package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

// pullTimeout is how long a pull may take. The engine gives up earlier if nothing arrives.
const pullTimeout = time.Hour

// presentImages looks for each image, and pulls it, once per run, however many steps need it.
type presentImages struct {
	lookups sync.Map // of func() error, by imageKey
}

// imageKey returns the key that steps share if they need the same image in the same way.
func imageKey(step suite.Step) string {
	return fmt.Sprintf("%s %s %s", step.Container.Image, step.Container.Platform, step.PullPolicy)
}

// forget makes the next step that needs the image look for it again.
func (s *presentImages) forget(step suite.Step) { s.lookups.Delete(imageKey(step)) }

// ensure returns when the step's image is on the engine, or with the reason why it is not. It does
// not remember that the engine did not answer: that says nothing about the image.
func (s *presentImages) ensure(ctx context.Context, store ImageStore, step suite.Step) error {
	lookup, _ := s.lookups.LoadOrStore(imageKey(step), sync.OnceValue(func() error {
		return provide(ctx, store, step.Container.Image, step.Container.Platform, step.PullPolicy)
	}))
	err := lookup.(func() error)()
	if errors.Is(err, container.ErrGone) {
		s.forget(step)
	}
	return err
}

// provide pulls the image if the policy says so.
func provide(ctx context.Context, store ImageStore, ref, platform string, policy suite.PullPolicy) error {
	if policy != suite.PullAlways {
		_, err := store.Image(ctx, ref)
		if policy == suite.PullNever || !errors.Is(err, container.ErrNoImage) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	return store.Pull(ctx, ref, platform, io.Discard)
}
