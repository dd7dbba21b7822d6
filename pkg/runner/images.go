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

// pullBound is how long one pull may take. The engine gives up earlier when
// nothing arrives.
const pullBound = time.Hour

// imageStore sees to it that each image is looked for, and pulled, once per run,
// however many steps need it.
type imageStore struct {
	mu      sync.Mutex
	present map[string]func() error
}

// imageKey is what two steps have in common that need the same image in the same way.
func imageKey(step suite.Step) string {
	return fmt.Sprintf("%s %s %s", step.Container.Image, step.Container.Platform, step.PullPolicy)
}

// forget makes the next step that needs the same image look for it again.
func (s *imageStore) forget(step suite.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.present, imageKey(step))
}

// ensure returns when the step's image is on the engine, or why it is not. That the
// engine did not answer says nothing of the image.
func (s *imageStore) ensure(ctx context.Context, store ImageStore, step suite.Step) error {
	err := s.lookup(ctx, store, step)()
	if errors.Is(err, container.ErrGone) {
		s.forget(step)
	}
	return err
}

// lookup returns the one look for the step's image.
func (s *imageStore) lookup(ctx context.Context, store ImageStore, step suite.Step) func() error {
	ref, platform, key := step.Container.Image, step.Container.Platform, imageKey(step)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present == nil {
		s.present = map[string]func() error{}
	}
	look, ok := s.present[key]
	if !ok {
		look = sync.OnceValue(func() error { return provide(ctx, store, ref, platform, step.PullPolicy) })
		s.present[key] = look
	}
	return look
}

// provide pulls the image where the policy says so.
func provide(ctx context.Context, store ImageStore, ref, platform string, policy suite.PullPolicy) error {
	if policy != suite.PullAlways {
		_, err := store.Image(ctx, ref)
		if policy == suite.PullNever || !errors.Is(err, container.ErrNoImage) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pullBound)
	defer cancel()
	return store.Pull(ctx, ref, platform, io.Discard)
}
