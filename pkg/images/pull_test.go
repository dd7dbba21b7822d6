package images

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"runtests/pkg/container"
)

// registry is an engine whose pulls a test delays and lets fail: a real engine cannot be
// interrupted at the right moment.
type registry struct {
	Engine
	mu      sync.Mutex
	pulled  int
	entered chan struct{} // gets a value when a pull begins
	answer  chan error    // what the pull ends with
}

func (r *registry) Pull(ctx context.Context, _, _ string, _ io.Writer) error {
	r.mu.Lock()
	r.pulled++
	r.mu.Unlock()
	r.entered <- struct{}{}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Images on the same base wait for one pull of it. The next image repeats a pull that was
// interrupted or had no engine.
func TestPulls(t *testing.T) {
	r := &registry{entered: make(chan struct{}, 10), answer: make(chan error, 10)}
	var p pulls
	refused := errors.New("refused")
	pull := func(ctx context.Context) <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- p.do(ctx, r, "debian:12", "", io.Discard) }()
		return ended
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	first := pull(interrupted)
	<-r.entered
	second := pull(t.Context())
	interrupt()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	<-r.entered
	r.answer <- container.ErrGone
	if err := <-second; !errors.Is(err, container.ErrGone) {
		t.Errorf("the second: %v", err)
	}
	r.answer <- refused
	for range 3 {
		if err := <-pull(t.Context()); !errors.Is(err, refused) {
			t.Errorf("a later one: %v", err)
		}
	}
	if r.pulled != 3 {
		t.Errorf("pulled %d times", r.pulled)
	}
}
