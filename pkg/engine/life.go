package engine

import (
	"context"
	"fmt"
	"time"

	"runtests/pkg/container"
)

// lifeChecks is how many times an engine is asked for a sign of life before it counts
// as gone.
const lifeChecks = 4

// watch looks, until ctx ends, whether the engine is alive while it works for us: the
// connections to one that is frozen stay open and say nothing, as those to a test that says
// nothing for an hour. It sends an error (ErrGone) once neither an answer nor output, which
// signs counts, has come for Options.LifeTimeout.
func (e *Engine) watch(ctx context.Context, while string, signs func() int64) <-chan error {
	gone := make(chan error, 1)
	go func() {
		if err := e.untilSilent(ctx, while, signs); err != nil {
			gone <- err
		}
	}()
	return gone
}

// untilSilent returns nil when ctx ends.
func (e *Engine) untilSilent(ctx context.Context, while string, signs func() int64) error {
	interval := e.options.LifeTimeout / lifeChecks
	tick := time.NewTicker(interval)
	defer tick.Stop()
	alive, last := time.Now(), signs()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		asked := time.Now()
		err := e.pingWithin(ctx, interval)
		switch seen := signs(); {
		case ctx.Err() != nil:
			return nil
		case err == nil || seen != last:
			alive, last = asked, seen
		case time.Since(alive) >= e.options.LifeTimeout:
			return fmt.Errorf("%w: no sign of life for %s while %s", container.ErrGone, e.options.LifeTimeout, while)
		}
	}
}

func (e *Engine) pingWithin(ctx context.Context, bound time.Duration) error {
	ctx, cancel := within(ctx, bound)
	defer cancel()
	return explain(ctx, e.client(ctx).PingWithContext(ctx))
}

// whileAlive does work that may be silent for as long as the engine is alive; its connections
// are to end with the context it gets. The error of an engine that is not is ErrGone, and says
// while what.
func (e *Engine) whileAlive(ctx context.Context, while string, signs func() int64, work func(ctx context.Context) error) error {
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	select {
	case err := <-ended:
		return err
	case silence := <-e.watch(ctx, while, signs):
		hangUp(silence)
		<-ended //nolint:errcheck // that the connection was closed
		return silence
	}
}

// noSigns are those of an engine that says nothing until it is done.
func noSigns() int64 { return 0 }
