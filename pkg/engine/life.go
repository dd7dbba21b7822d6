package engine

import (
	"context"
	"fmt"
	"time"
)

// lifeChecks is how many times an engine is asked for a sign of life before it counts
// as gone.
const lifeChecks = 4

// watch looks, until ctx ends, whether the engine is alive while a container runs on it:
// the connections to one that is frozen stay open and say nothing, as those to a test that
// says nothing for an hour. It sends an error (ErrGone) once neither an answer nor output
// has come for Options.LifeTimeout.
func (e *Engine) watch(ctx context.Context, output *stream) <-chan error {
	gone := make(chan error, 1)
	go func() {
		if err := e.untilSilent(ctx, output); err != nil {
			gone <- err
		}
	}()
	return gone
}

// untilSilent returns nil when ctx ends.
func (e *Engine) untilSilent(ctx context.Context, output *stream) error {
	interval := e.options.LifeTimeout / lifeChecks
	tick := time.NewTicker(interval)
	defer tick.Stop()
	alive, frames := time.Now(), output.frames.Load()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		asked := time.Now()
		err := e.pingWithin(ctx, interval)
		switch seen := output.frames.Load(); {
		case ctx.Err() != nil:
			return nil
		case err == nil || seen != frames:
			alive, frames = asked, seen
		case time.Since(alive) >= e.options.LifeTimeout:
			return fmt.Errorf("%w: no sign of life for %s while the container was running", ErrGone, e.options.LifeTimeout)
		}
	}
}

func (e *Engine) pingWithin(ctx context.Context, bound time.Duration) error {
	ctx, cancel := within(ctx, bound)
	defer cancel()
	return explain(ctx, e.client(ctx).PingWithContext(ctx))
}
