package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"runtests/pkg/engine"
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

// ensure returns when the step's image is on the engine, or why it is not.
func (s *imageStore) ensure(ctx context.Context, e Engine, step suite.Step) error {
	ref, platform := step.Container.Image, step.Container.Platform
	key := fmt.Sprintf("%s %s %s", ref, platform, step.PullPolicy)
	s.mu.Lock()
	if s.present == nil {
		s.present = map[string]func() error{}
	}
	look, ok := s.present[key]
	if !ok {
		look = sync.OnceValue(func() error { return provide(ctx, e, ref, platform, step.PullPolicy) })
		s.present[key] = look
	}
	s.mu.Unlock()
	return look()
}

// provide pulls the image where the policy says so.
func provide(ctx context.Context, e Engine, ref, platform string, policy suite.PullPolicy) error {
	if policy != suite.PullAlways {
		_, err := e.Image(ctx, ref)
		if policy == suite.PullNever || !errors.Is(err, engine.ErrNoImage) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pullBound)
	defer cancel()
	return e.Pull(ctx, ref, platform, io.Discard)
}
