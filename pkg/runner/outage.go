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

// defaultPatience is how long a run waits for an engine that went away: enough for
// a package upgrade to restart it, little beside a night.
const defaultPatience = 2 * time.Minute

// The pauses between two questions whether the engine is back.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// outages keeps steps from starting on an engine that is away.
type outages struct {
	mu      sync.Mutex
	current *outage         // nil: nothing is known against the engine
	active  map[string]bool // the names of the containers whose steps are going on
}

// outage is a time in which the engine does not answer.
type outage struct {
	during string // the step that noticed it
	since  time.Time
	once   sync.Once
	over   error // why the engine was given up; nil: it is back. Set by once
}

// A goneError says that no step was started any more as the engine did not come back.
type goneError struct {
	during   string
	patience time.Duration
	err      error
}

func (e *goneError) Error() string {
	return fmt.Sprintf("not started: the engine went away during %s and was not back within %s: %v", e.during, report.Duration(e.patience), e.err)
}

func (e *goneError) Unwrap() error { return e.err }

// Hint tells what to do about it.
func (e *goneError) Hint() string {
	return "start the engine again, look why it went away (journalctl -u docker), and run the suite again"
}

// begin notes that the container called name is one of a step that is going on.
func (o *outages) begin(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.active == nil {
		o.active = map[string]bool{}
	}
	o.active[name] = true
}

// end notes that the step of that container is over: what is left of it is a leftover.
func (o *outages) end(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.active, name)
}

func (o *outages) isActive(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.active[name]
}

// notice takes note of err when it says that the engine is away.
func (r *Runner) notice(step string, err error) {
	if !errors.Is(err, container.ErrGone) {
		return
	}
	o := &r.outages
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == nil {
		o.current = &outage{during: step, since: r.Now()}
	}
}

// await returns when nothing is known against the engine, or when it is back after
// an outage; an error says that it was given up. One that was given up stays so.
func (r *Runner) await(ctx context.Context) error {
	o := &r.outages
	o.mu.Lock()
	current := o.current
	o.mu.Unlock()
	if current == nil {
		return nil
	}
	current.once.Do(func() { current.over = r.recover(ctx, current) })
	if current.over != nil {
		return current.over
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current == current {
		o.current = nil
	}
	return nil
}

// recover waits until the engine answers, at most for the run's patience, and then
// removes what the steps that it failed have left: nothing may disturb the next one.
func (r *Runner) recover(ctx context.Context, o *outage) error {
	patience := r.Patience
	if patience <= 0 {
		patience = defaultPatience
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tries, err := r.untilAnswer(bounded)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &goneError{o.during, patience, err}
	}
	if tries > 1 {
		r.note(fmt.Sprintf("the engine went away during %s and was back %s later", o.during, report.Duration(r.Now().Sub(o.since))))
	}
	clearing, cancel := context.WithTimeout(ctx, cleanUpBound)
	defer cancel()
	if err := r.clearUp(clearing); err != nil {
		r.note(fmt.Sprintf("what %s left after the engine went away is still there, the next run removes it: %v", o.during, err))
	}
	return nil
}

// untilAnswer asks the engine again and again for a sign of life.
func (r *Runner) untilAnswer(ctx context.Context) (tries int, err error) {
	pause := firstPause
	for {
		tries++
		silence := r.Executor.Ping(ctx)
		if silence == nil {
			return tries, nil
		}
		if err == nil || ctx.Err() == nil { // not that we stopped waiting, but why
			err = silence
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return tries, err
		}
		pause = min(2*pause, lastPause)
	}
}

// clearUp removes the containers of this run that belong to no step that is going on.
func (r *Runner) clearUp(ctx context.Context) error {
	ours, err := r.Executor.Containers(ctx, map[string]string{LabelMachine: r.Machine, LabelRun: r.Folder.Path})
	if err != nil {
		return err
	}
	over := func(string) (alive bool, err error) { return false, nil }
	var errs []error
	for _, c := range ours {
		if r.outages.isActive(c.Name) {
			continue
		}
		if _, err := sweepOne(ctx, r.Executor, r.Keeper, c, over); err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// note adds a sentence to those that the reader of the report must see.
func (r *Runner) note(sentence string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Notes = append(r.run.Notes, sentence)
}
