package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

// cleanUpTimeout is how long the removal of a container may take once it has ended.
const cleanUpTimeout = time.Minute

// errTimeout is the cause of a step's context after its timeout.
var errTimeout = errors.New("the step did not end within its timeout")

// container returns the step's container, named and labelled and, if it may be kept, prepared for
// that.
func (r *Runner) container(step suite.Step) container.Container {
	c := r.labelled(step)
	if name := r.config.keepAs(step); name != "" {
		c.Labels[LabelKeep] = name
		c.KeepLog = true
		if tree := r.config.Commits[step.Dir]; tree.Commit != "" {
			c.Labels[LabelCommit] = commitLabel(tree)
		}
	}
	return c
}

// commitLabel returns the value of LabelCommit.
func commitLabel(tree worktree.State) string {
	label := tree.Commit
	if tree.Dirty {
		label += "-dirty"
	}
	if tree.Untrusted {
		label += "-untrusted"
	}
	return label
}

// labelled returns the step's container with a unique name and our labels.
func (r *Runner) labelled(step suite.Step) container.Container {
	c := step.Container
	c.Name = fmt.Sprintf("runtests-%s-%08x", container.SafeName(step.Test), rand.Uint32())
	c.Labels = map[string]string{
		LabelRun:     r.config.Folder.Path,
		LabelMachine: r.config.Machine,
		LabelSuite:   r.config.Run.Suite,
		LabelStep:    step.Name,
	}
	return c
}

// runContainer runs the container of a step to its end, and records in result how it ended, how
// long it took, and on which image. It then keeps or removes the container.
func (r *Runner) runContainer(ctx context.Context, step suite.Step, c container.Container, log *Log, result *report.Result) container.Exit {
	r.outages.active.Store(c.Name, true)
	defer r.outages.active.Delete(c.Name) // from then on it is a leftover, if it is still there
	stepCtx, cancel := context.WithTimeoutCause(ctx, step.Timeout, errTimeout)
	defer cancel()
	started := r.config.Now()
	exit, err := r.runGuarded(stepCtx, step, c, log)
	result.Duration, result.ImageID = report.Duration(r.config.Now().Sub(started)), exit.ImageID
	judge(stepCtx, step, exit, err, result)
	if exit.ID != "" {
		r.noteSetuid(ctx, step, result)
	}
	if err := log.end(); err != nil {
		addNote(result, "%v", err)
	}
	if errors.Is(err, container.ErrNoImage) {
		r.images.forget(step) // somebody removed it: the next step looks for it again
	}
	r.noteOutage(step.Name, err)
	r.dispose(ctx, exit.ID, c.Labels[LabelKeep], result)
	return exit
}

// runGuarded runs the container as the user that its step wants, unless a path that it gets is not
// what it was.
func (r *Runner) runGuarded(ctx context.Context, step suite.Step, c container.Container, log *Log) (container.Exit, error) {
	if err := r.guard(step); err != nil {
		return container.Exit{}, err
	}
	step, err := step.WithOwner(r.config.Regions.With(step.Writable()))
	if err != nil {
		return container.Exit{}, err
	}
	c.User = step.Container.User
	return r.config.Executor.Run(ctx, c, log)
}

// dispose keeps a container under the name keepAs, or removes it if that is empty or the step did
// not end as it should. It waits for an engine that went away, at most for the run's Patience.
func (r *Runner) dispose(ctx context.Context, id, keepAs string, result *report.Result) {
	if id == "" {
		return
	}
	if err := r.awaitEngine(ctx); err != nil {
		addNote(result, "its container is still there, the next run removes it")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if keepAs != "" && result.Outcome != report.Interrupted && (r.config.Keep != "" || result.Outcome == report.Passed) {
		r.keep(ctx, id, keepAs, result)
		return
	}
	if err := r.config.Executor.Remove(ctx, id); err != nil {
		r.noteOutage(result.Name, err)
		addNote(result, "its container could not be removed, the next run removes it: %v", err)
	}
}

// addNote adds a sentence to result.
func addNote(result *report.Result, format string, args ...any) {
	result.Notes = append(result.Notes, fmt.Sprintf(format, args...))
}
