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

// defaultGrace is the time between TERM and KILL, the same as for `docker stop`.
const defaultGrace = 10 * time.Second

// Run creates a container, copies c.Copies into it, starts it, and waits for its end. It writes
// stdout and stderr to output in the order of arrival; lines that a program writes to both at
// the same moment may change places on the way to the engine. Run does not remove the
// container. The caller does, with Exit.ID, which is set as soon as there is a container, even
// if Run returns an error.
//
// If ctx ends first, the container gets TERM, whatever stop signal its image has, and KILL after
// c.StopGrace. Run verifies that it no longer runs, sets Exit.Stopped and returns nil. If ctx
// ends before the container has started, the error wraps the context's cause.
//
// An error means that the run could not be carried out and that the exit status means nothing:
// ErrNoImage, ErrNameTaken, ErrStart (it never ran), ErrGone (the engine), ErrNoContainer (it
// was removed by somebody else), ErrTruncated, ErrOutput (output is not complete), ErrDisagree.
// The container does not run then, unless the engine is gone.
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
		<-r.output.done // the caller may use output once Run has returned
	}
	return r.exit, err
}

// running is one call of Run.
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
		if errors.Is(err, container.ErrGone) { // the container may have started, and the engine may be back
			err = errors.Join(err, r.stop())
		}
		return err
	}
	return r.follow(ctx)
}

// create creates the container. It does not end with the caller's context, because nobody would
// know the ID of a container whose creation was given up.
func (r *running) create() error {
	if err := r.setUser(); err != nil {
		return err
	}
	options, err := createOptions(r.container, r.engine.dialect())
	if err != nil {
		return err
	}
	if r.engine.info.Name == podman && r.engine.info.Local {
		for _, m := range r.container.Mounts { // Podman would create the directory
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

// setUser leaves out a user of the engine's machine, who would be another in the container (Check).
func (r *running) setUser() error {
	if !r.container.HostUser {
		return nil
	}
	other, err := r.engine.UserNamespace(r.life)
	if other {
		r.container.User = ""
	}
	return err
}

// start starts the container. It does not end with the caller's context, because the engine
// would go on starting a container that we believe stopped.
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

// waited is the engine's answer when the container has ended.
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
		killed, err := r.engine.Stop(r.life, r.exit.ID, r.container.StopGrace)
		if r.exit.Killed = killed; err != nil {
			return err
		}
		end = r.afterStop(ended)
	}
	return r.conclude(end)
}

// podmanLag is at least how long Podman may call a container running after the end of its output;
// on a busy machine it is as long as a call may take. Docker notes both at once.
const podmanLag = 2 * time.Second

// endOfOutput is called when the output of a container has ended before the engine reports the
// container's end. Mostly that follows at once. If the container still runs, the rest of its
// output is lost.
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
	err = r.stop()
	if end := r.afterStop(ended); end.err == nil {
		r.exit.Code = end.code
	}
	return waited{}, errors.Join(lost, err)
}

// afterStop waits for the engine to report the end of a container that has ended.
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

// conclude inspects a container that has ended, and returns the error of its run.
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
		return fmt.Errorf("%w: something else is removing it", container.ErrNoContainer)
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

// note records the engine's facts about the container.
func (r *running) note(c *docker.Container) { noteExit(c, &r.exit) }

// noteExit records in exit how a container last ended.
func noteExit(c *docker.Container, exit *container.Exit) {
	exit.ImageID = imageID(c.Image)
	exit.Code = c.State.ExitCode
	exit.OOMKilled = c.State.OOMKilled
	exit.Started, exit.Finished = c.State.StartedAt, c.State.FinishedAt
	if exit.Finished.Before(exit.Started) {
		exit.Finished = exit.Started // Docker may note the start of a very short run after its end
	}
}

// cutOff is called when the engine is back after the connection broke during a run. The output is
// not complete, so cutOff stops the container if it still runs.
func (r *running) cutOff(state docker.State, cause error) error {
	lost := fmt.Errorf("%w: %w", container.ErrTruncated, cause)
	if !state.Running {
		return lost
	}
	return errors.Join(lost, r.stop())
}

// stop stops a container whose end no longer counts.
func (r *running) stop() error {
	_, err := r.engine.Stop(r.life, r.exit.ID, r.container.StopGrace)
	return err
}

// inspect returns the container with that ID (ErrNoContainer).
func (e *Engine) inspect(ctx context.Context, id string) (*docker.Container, error) {
	ctx, cancel := within(ctx, e.options.CallTimeout)
	defer cancel()
	c, err := e.client(ctx).InspectContainerWithOptions(docker.InspectContainerOptions{ID: id, Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("inspect the container: %w", explain(ctx, err))
	}
	return c, nil
}

// Stop sends TERM to a container, and KILL if it still runs after grace. It returns when the
// engine reports that the container does not run. It returns nil if the container did not run
// or does not exist. killed reports whether KILL was sent.
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

// signal sends a signal to a container; running reports whether the container was running.
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

// ended waits until the container does not run, and reports whether it ended within patience.
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
