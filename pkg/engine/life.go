package engine

import (
	"context"
	"fmt"
	"time"

	"runtests/pkg/container"
)

// lifeChecks is how often an engine is pinged within LifeTimeout.
const lifeChecks = 4

// watch checks until ctx ends that the engine is alive while it works for us. A connection to a
// frozen engine stays open and silent, just like that to a test that prints nothing for an
// hour. watch sends an error (ErrGone) when the engine has neither answered a ping nor given a
// sign for Options.LifeTimeout. signs returns how many signs have come; while completes the
// error's text.
func (e *Engine) watch(ctx context.Context, while string, signs func() int64) <-chan error {
	gone := make(chan error, 1)
	go func() {
		if err := e.untilSilent(ctx, while, signs); err != nil {
			gone <- err
		}
	}()
	return gone
}

// untilSilent returns the error of watch, or nil when ctx ends.
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

// whileAlive calls work, which may be silent for as long as the engine is alive and must close
// its connections when its context ends. The arguments while and signs are those of watch.
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
		<-ended //nolint:errcheck // it says that the connection was closed
		return silence
	}
}

// noSigns is for work about which the engine sends nothing until it is done.
func noSigns() int64 { return 0 }
