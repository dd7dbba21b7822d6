package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/report"
)

// defaultPatience is how long a run waits for an engine that went away: enough for a package
// upgrade to restart it, and little compared with a night.
const defaultPatience = 2 * time.Minute

// The first and the longest pause between two pings of an engine that is away.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// outages keeps steps from starting on an engine that is away.
type outages struct {
	active sync.Map // names of the containers of running steps

	mu      sync.Mutex
	current *outage // nil: as far as is known, the engine is there
}

// outage is a time in which the engine does not answer.
type outage struct {
	during string // the step during which it began
	since  time.Time
	once   sync.Once
	err    error // why the run gave up on the engine; nil: it is back. Set by once
}

// A goneError is why a step was not started: the engine did not come back.
type goneError struct {
	during   string
	patience time.Duration
	err      error
}

func (e *goneError) Error() string {
	return fmt.Sprintf("not started: the engine went away during %s and was not back within %s: %v", e.during, report.Duration(e.patience), e.err)
}

func (e *goneError) Unwrap() error { return e.err }

// Hint returns the remedy.
func (e *goneError) Hint() string {
	return "find out why the engine stopped (journalctl -u docker), start it, and run the suite again"
}

// noteOutage records an outage if err says that the engine is away.
func (r *Runner) noteOutage(step string, err error) {
	if !errors.Is(err, container.ErrGone) {
		return
	}
	o := &r.outages
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		o.current = &outage{during: step, since: r.config.Now()}
	}
}

// awaitEngine returns at once if no outage is known, and otherwise when the engine is back. An error
// says that the run gave up on the engine, which is final.
func (r *Runner) awaitEngine(ctx context.Context) error {
	o := &r.outages
	o.mu.Lock()
	current := o.current
	o.mu.Unlock()
	if current == nil {
		return nil
	}
	current.once.Do(func() { current.err = r.awaitEnd(ctx, current) })
	if current.err != nil {
		return current.err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == current {
		o.current = nil
	}
	return nil
}

// awaitEnd waits until the engine answers, at most for the run's Patience, and then removes the
// containers of the steps that broke: they may disturb the next steps.
func (r *Runner) awaitEnd(ctx context.Context, o *outage) error {
	patience := r.config.Patience
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tries, err := r.pingUntilAnswer(bounded)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &goneError{o.during, patience, err}
	}
	if tries > 1 {
		r.record.note("the engine went away during %s and was back %s later", o.during, report.Duration(r.config.Now().Sub(o.since)))
	}
	bounded, cancel = context.WithTimeout(ctx, cleanUpTimeout)
	defer cancel()
	if err := r.removeLeftovers(bounded); err != nil {
		r.record.note("containers that %s left when the engine went away are still there, the next run removes them: %v", o.during, err)
	}
	return nil
}

// pingUntilAnswer pings the engine until it answers or ctx ends.
func (r *Runner) pingUntilAnswer(ctx context.Context) (tries int, err error) {
	pause := firstPause
	for {
		tries++
		pingErr := r.config.Executor.Ping(ctx)
		if pingErr == nil {
			return tries, nil
		}
		if err == nil || ctx.Err() == nil { // keep the cause, not the end of ctx
			err = pingErr
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return tries, err
		}
		pause = min(2*pause, lastPause)
	}
}

// removeLeftovers removes the containers of this run that belong to no running step.
func (r *Runner) removeLeftovers(ctx context.Context) error {
	ours, err := r.config.Executor.Containers(ctx, map[string]string{LabelMachine: r.config.Machine, LabelRun: r.config.Folder.Path})
	if err != nil {
		return err
	}
	dead := func(string) (alive bool, err error) { return false, nil }
	var errs []error
	for _, c := range ours {
		if _, active := r.outages.active.Load(c.Name); active {
			continue
		}
		if _, err := sweepOne(ctx, r.config.Executor, r.config.Keeper, r.config.Machine, c, dead); err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}
