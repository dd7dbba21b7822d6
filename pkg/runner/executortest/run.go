package executortest

import (
	"context"
	"fmt"
	"io"
	"time"

	"runtests/pkg/container"
)

// running is a container on its way through Run.
type running struct {
	executor  *Executor
	container container.Container
	record    *record
	program   Program
	process   *process
	output    *output
	exit      container.Exit
}

// Run runs a container, as runner.Executor says.
func (e *Executor) Run(ctx context.Context, c container.Container, w io.Writer) (container.Exit, error) {
	r := &running{executor: e, container: c, exit: container.Exit{Name: c.Name}}
	if r.container.StopGrace <= 0 {
		r.container.StopGrace = defaultGrace
	}
	err := r.run(ctx, w)
	if r.output != nil {
		r.output.hangUp()
	}
	return r.exit, err
}

func (r *running) run(ctx context.Context, w io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// An engine that has begun to make or to start a container does not stop for its caller.
	life := context.WithoutCancel(ctx)
	if err := r.create(life); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.start(life, w); err != nil {
		return err
	}
	return r.follow(ctx)
}

func (r *running) create(ctx context.Context) error {
	e := r.executor
	if err := e.call(ctx); err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	if e.Unsupported != nil {
		for _, u := range e.Unsupported(r.container) {
			if !u.Ignored {
				return fmt.Errorf("%w: %s: %s", container.ErrStart, u.Setting, u.Reason)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	image, ok := e.images[r.container.Image]
	if !ok {
		return fmt.Errorf("%w: %q", container.ErrNoImage, r.container.Image)
	}
	name := r.container.Name
	if name != "" && e.find(func(other *record) bool { return other.Name == name }) >= 0 {
		return fmt.Errorf("create it: %w: %q", container.ErrNameTaken, name)
	}
	e.made++
	r.exit.ID, r.exit.ImageID = fmt.Sprintf("%064x", e.made), image.ID
	r.record = &record{Summary: container.Summary{
		ID: r.exit.ID, Name: name, Image: r.container.Image, Labels: r.container.Labels, State: "created", Created: time.Now(),
	}}
	e.containers = append(e.containers, r.record)
	if len(r.container.Command) > 0 {
		r.program = e.programs[r.container.Command[0]]
	}
	return nil
}

func (r *running) start(ctx context.Context, w io.Writer) error {
	e := r.executor
	if err := e.call(ctx); err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	if r.program == nil {
		return fmt.Errorf("%w: the command %q is not in the image", container.ErrStart, r.container.Command)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.find(func(other *record) bool { return other == r.record }) < 0 {
		return container.ErrNoContainer
	}
	r.process = newProcess(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		r.record.State = "exited"
	})
	r.record.process, r.record.State = r.process, "running"
	r.output = &output{executor: e, process: r.process, cut: e.link.cut, w: w}
	go r.process.run(r.container, r.program, r.output)
	return nil
}

// follow waits for the end of the container, of its connection or of ctx.
func (r *running) follow(ctx context.Context) error {
	for {
		select {
		case <-r.process.dead:
			if !r.process.ending.removed && r.executor.Ended != nil {
				r.executor.Ended(r.exit.ID)
			}
			return r.conclude()
		case <-r.output.cut:
			return r.cutOff()
		case <-r.executor.current().froze:
			if err := r.executor.silence(); err != nil {
				return err
			}
		case <-ctx.Done():
			r.exit.Stopped = true
			if err := r.stop(); err != nil {
				return err
			}
			return r.conclude()
		}
	}
}

// silence returns nil when the executor has thawed within its bound.
func (e *Executor) silence() error {
	melted := e.current().melted
	if melted == nil {
		return nil
	}
	return e.wait(context.Background(), melted)
}

// stop sends TERM and, after the grace, KILL.
func (r *running) stop() error {
	if err := r.executor.call(context.Background()); err != nil {
		return fmt.Errorf("stop the container: %w", err)
	}
	r.process.terminate()
	grace := time.NewTimer(r.container.StopGrace)
	defer grace.Stop()
	select {
	case <-r.process.dead:
	case <-grace.C:
		r.exit.Killed = true
		r.process.end(ending{status: 128 + 9})
	}
	return nil
}

// cutOff is for a container whose output is lost from here on: it must not go on.
func (r *running) cutOff() error {
	if err := r.executor.call(context.Background()); err != nil {
		return fmt.Errorf("look at the container: %w", err)
	}
	if err := r.stop(); err != nil {
		return err
	}
	r.note()
	return fmt.Errorf("%w: the connection to it broke while it was running", container.ErrTruncated)
}

// conclude judges a container that has ended.
func (r *running) conclude() error {
	if err := r.executor.call(context.Background()); err != nil {
		return fmt.Errorf("look at the container: %w", err)
	}
	r.note()
	if r.process.ending.removed {
		return fmt.Errorf("look at the container: %w", container.ErrNoContainer)
	}
	return r.output.failure()
}

// note keeps how the container ended.
func (r *running) note() {
	p := r.process
	r.exit.Code, r.exit.OOMKilled, r.exit.Started, r.exit.Finished = p.ending.status, p.ending.oomKilled, p.started, p.finished
	r.executor.mu.Lock()
	defer r.executor.mu.Unlock()
	r.record.exit = r.exit
}
