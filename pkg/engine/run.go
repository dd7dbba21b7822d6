package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	docker "github.com/fsouza/go-dockerclient"

	"runtests/pkg/container"
)

// defaultGrace is the time between TERM and KILL, as `docker stop` has it.
const defaultGrace = 10 * time.Second

// Run creates a container, copies c.Copies into it, starts it, writes what it prints on
// stdout and stderr to output in the order of arrival (lines that a program writes to both
// at the same moment may change places on the way to the engine), waits for its end and looks at it.
// It does not remove it: the caller does, with Exit.ID, which is set as soon as there is
// a container, also with an error.
//
// When ctx ends first, the container gets TERM (whatever signal its image would stop a
// service with), after c.StopGrace KILL, and is verified not to run; Exit.Stopped says so
// and the error is nil. A context that ends before the container started is an error that
// wraps the context's cause.
//
// An error means that the run could not be carried out, and that the exit status says
// nothing: ErrNoImage, ErrNameTaken, ErrStart (it never ran), ErrGone (the engine),
// ErrNoContainer (somebody removed it), ErrTruncated, ErrOutput (output is not complete),
// ErrDisagree. The container does not run then, unless the engine is gone.
func (e *Engine) Run(ctx context.Context, c container.Container, output io.Writer) (container.Exit, error) {
	r := &running{engine: e, container: c, exit: container.Exit{Name: c.Name}}
	if r.container.StopGrace <= 0 {
		r.container.StopGrace = defaultGrace
	}
	var hangUp context.CancelFunc
	r.life, hangUp = context.WithCancel(context.WithoutCancel(ctx))
	err := r.run(ctx, output)
	hangUp()
	if r.output != nil {
		<-r.output.done // nothing is written to output once Run has returned
	}
	return r.exit, err
}

// running is one container on its way through Run.
type running struct {
	engine    *Engine
	container container.Container
	life      context.Context // ends when Run returns, not when its caller's context does
	output    *stream
	exit      container.Exit
}

func (r *running) run(ctx context.Context, output io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.create(); err != nil {
		return err
	}
	for _, c := range r.container.Copies {
		if err := r.engine.copyIn(ctx, r.exit.ID, c, r.container.ReadOnly); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var err error
	if r.output, err = r.engine.attach(r.life, r.exit.ID, output); err != nil {
		if errors.Is(err, container.ErrGone) || errors.Is(err, container.ErrNoContainer) {
			return err
		}
		return startFault(r.container, err) // Podman prepares the container here
	}
	if err := r.start(); err != nil {
		if errors.Is(err, container.ErrGone) { // it may have started all the same, and the engine may be back
			_, errStop := r.engine.Stop(r.life, r.exit.ID, r.container.StopGrace)
			err = errors.Join(err, errStop)
		}
		return err
	}
	return r.follow(ctx)
}

// create makes the container. It does not end with the caller's context: a create that is
// given up leaves a container whose ID nobody knows.
func (r *running) create() error {
	options, err := createOptions(r.container, r.engine.dialect())
	if err != nil {
		return err
	}
	if r.engine.info.Name == podman && r.engine.info.Local {
		for _, m := range r.container.Mounts { // Podman would make the directory
			if m.Bind() && !exists(m.Source) {
				return startFault(r.container, fmt.Errorf("bind source path does not exist: %s", m.Source))
			}
		}
	}
	ctx, cancel := r.engine.slow(r.life)
	defer cancel()
	options.Context = ctx
	created, err := r.engine.client(ctx).CreateContainer(options)
	if err != nil {
		return createFault(r.container, explain(ctx, err))
	}
	r.exit.ID = created.ID
	return nil
}

// start starts the container. It does not end with the caller's context either: the
// engine would go on starting what we would then believe stopped.
func (r *running) start() error {
	ctx, cancel := r.engine.slow(r.life)
	defer cancel()
	err := r.engine.client(ctx).StartContainerWithContext(r.exit.ID, nil, ctx)
	var already *docker.ContainerAlreadyRunning
	if err == nil || errors.As(err, &already) {
		return nil
	}
	return startFault(r.container, explain(ctx, err))
}

// waited is what the engine said when the container ended.
type waited struct {
	code int
	err  error
}

func (r *running) wait() <-chan waited {
	result := make(chan waited, 1)
	go func() {
		code, err := r.engine.client(r.life).WaitContainerWithContext(r.exit.ID, r.life)
		result <- waited{code, explain(r.life, err)}
	}()
	return result
}

// follow waits for the end of the container, or of ctx.
func (r *running) follow(ctx context.Context) error {
	ended := r.wait()
	watching, stopWatching := context.WithCancel(r.life)
	defer stopWatching()
	var end waited
	select {
	case end = <-ended:
	case silence := <-r.engine.watch(watching, "the container was running", r.output.frames.Load):
		return silence
	case <-r.output.done:
		var err error
		if end, err = r.endOfOutput(ended); err != nil {
			return err
		}
	case <-ctx.Done():
		r.exit.Stopped = true
		var err error
		if r.exit.Killed, err = r.engine.Stop(r.life, r.exit.ID, r.container.StopGrace); err != nil {
			return err
		}
		end = r.afterStop(ended)
	}
	return r.conclude(end)
}

// podmanLag is how long after the end of its output Podman may call a container running, at
// least; on a busy machine as long as a call may take. Docker notes the end of both at once.
const podmanLag = 2 * time.Second

// endOfOutput is for a container whose output ended before the engine said that it ended.
// Mostly it says so at once; when the container still runs, the rest of what it
// prints is lost.
func (r *running) endOfOutput(ended <-chan waited) (waited, error) {
	state, err := r.engine.inspect(r.life, r.exit.ID)
	if err != nil {
		return waited{}, err
	}
	if !state.State.Running {
		return r.afterStop(ended), nil
	}
	if r.engine.info.Name == podman && r.output.err == nil {
		select {
		case end := <-ended:
			return end, nil
		case <-time.After(max(podmanLag, r.engine.options.CallTimeout)):
		}
	}
	lost := fmt.Errorf("%w: the connection to it broke while it was running", container.ErrTruncated)
	if r.output.err != nil {
		lost = fmt.Errorf("%w: %w", lost, r.output.err)
	}
	_, err = r.engine.Stop(r.life, r.exit.ID, r.container.StopGrace)
	if end := r.afterStop(ended); end.err == nil {
		r.exit.Code = end.code
	}
	return waited{}, errors.Join(lost, err)
}

// afterStop waits for the engine's word on a container that has ended.
func (r *running) afterStop(ended <-chan waited) waited {
	bound := time.NewTimer(r.engine.options.CallTimeout)
	defer bound.Stop()
	select {
	case end := <-ended:
		return end
	case <-bound.C:
		return waited{err: fmt.Errorf("%w: %w", container.ErrGone, &lateError{r.engine.options.CallTimeout})}
	}
}

// conclude looks at a container that ended, and says what its run is worth.
func (r *running) conclude(end waited) error {
	var drained error
	if end.err == nil {
		drained = r.output.drain(r.engine.options.CallTimeout)
	}
	c, err := r.engine.inspect(r.life, r.exit.ID)
	if err != nil {
		return errors.Join(err, end.err)
	}
	if end.err != nil {
		return r.cutOff(c.State, end.err)
	}
	r.note(c)
	switch {
	case c.State.RemovalInProgress || c.State.Dead:
		return fmt.Errorf("%w: somebody is removing it", container.ErrNoContainer)
	case c.State.Running || end.code != c.State.ExitCode:
		return fmt.Errorf("%w: it ended with exit status %d, and is now %s with exit status %d",
			container.ErrDisagree, end.code, c.State.StateString(), c.State.ExitCode)
	case c.State.Error != "":
		return startFault(r.container, errors.New(c.State.Error))
	case drained != nil:
		return fmt.Errorf("%w: %w", container.ErrTruncated, drained)
	case r.output.sink.err != nil:
		return fmt.Errorf("%w: %w", container.ErrOutput, r.output.sink.err)
	}
	if line, ok := r.output.sink.whole(); ok && r.exit.Code != 0 {
		return execFault(r.container, line)
	}
	return nil
}

// note keeps what the engine says of the container.
func (r *running) note(c *docker.Container) {
	r.exit.ImageID = imageID(c.Image)
	r.exit.Code = c.State.ExitCode
	r.exit.OOMKilled = c.State.OOMKilled
	r.exit.Started, r.exit.Finished = c.State.StartedAt, c.State.FinishedAt
	if r.exit.Finished.Before(r.exit.Started) {
		r.exit.Finished = r.exit.Started // Docker notes the start of a very short one after its end
	}
}

// cutOff is for a container whose end nobody told us, as the connection to the engine
// broke, when the engine is back: its output is not complete, so it must not go on.
func (r *running) cutOff(state docker.State, cause error) error {
	lost := fmt.Errorf("%w: %w", container.ErrTruncated, cause)
	if !state.Running {
		return lost
	}
	_, err := r.engine.Stop(r.life, r.exit.ID, r.container.StopGrace)
	return errors.Join(lost, err)
}

// inspect looks at the container with that ID.
func (e *Engine) inspect(ctx context.Context, id string) (*docker.Container, error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	c, err := e.client(ctx).InspectContainerWithOptions(docker.InspectContainerOptions{ID: id, Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("look at the container: %w", explain(ctx, err))
	}
	return c, nil
}

// Stop ends a container: TERM, then, when it still runs after grace, KILL; it returns when
// the engine says that it does not run, or an error when it could not. A container that
// does not run, or is not there, is stopped. killed says that KILL was sent.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) (killed bool, err error) {
	running, err := e.signal(ctx, id, docker.SIGTERM)
	if err != nil || !running {
		return false, stopFault(err)
	}
	if stopped, err := e.ended(ctx, id, grace); err != nil || stopped {
		return false, stopFault(err)
	}
	if running, err = e.signal(ctx, id, docker.SIGKILL); err != nil || !running {
		return false, stopFault(err)
	}
	stopped, err := e.ended(ctx, id, e.options.CallTimeout)
	if err == nil && !stopped {
		err = fmt.Errorf("it still runs %s after KILL", e.options.CallTimeout)
	}
	return true, stopFault(err)
}

func stopFault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stop the container: %w", err)
}

// signal sends a signal to a container; running says that there was one to get it.
func (e *Engine) signal(ctx context.Context, id string, s docker.Signal) (running bool, err error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	err = e.client(ctx).KillContainer(docker.KillContainerOptions{ID: id, Signal: s, Context: ctx})
	var still *docker.ContainerNotRunning
	if errors.As(err, &still) {
		return false, nil
	}
	err = explain(ctx, err)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, container.ErrNoContainer), strings.Contains(err.Error(), "is not running"):
		return false, nil
	}
	return false, err
}

// ended waits until the container does not run, at most for so long.
func (e *Engine) ended(ctx context.Context, id string, patience time.Duration) (bool, error) {
	ctx, cancel := within(ctx, patience)
	defer cancel()
	_, err := e.client(ctx).WaitContainerWithContext(id, ctx)
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if err = explain(ctx, err); errors.Is(err, container.ErrNoContainer) {
		return true, nil
	}
	return false, err
}
