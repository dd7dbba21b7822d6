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
	keep := r.config.keepAs(step)
	if keep == "" {
		return r.labelled(step, "", "")
	}
	c := r.labelled(step, keep, commitLabel(r.config.Commits[step.Dir]))
	c.KeepLog = true
	return c
}

// commitLabel returns the value of LabelCommit; empty: the commit is not known.
func commitLabel(tree worktree.State) string {
	label := tree.Commit
	if label == "" {
		return ""
	}
	if tree.Dirty {
		label += "-dirty"
	}
	if tree.Untrusted {
		label += "-untrusted"
	}
	return label
}

// labelled returns the step's container with a unique name and our labels.
func (r *Runner) labelled(step suite.Step, keep, commit string) container.Container {
	c := step.Container
	c.Labels = Labels(r.config.Folder.Path, r.config.Machine, r.config.Run.Suite, step.Name, keep, commit)
	return c.Named(fmt.Sprintf("runtests-%s-%08x", container.SafeName(step.Test), rand.Uint32()))
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
	r.dispose(ctx, exit, c, result)
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

// dispose keeps a container if c says under which name, and otherwise, or if the step did not end as
// it should, removes it. It waits for an engine that went away, at most for the run's Patience.
func (r *Runner) dispose(ctx context.Context, exit container.Exit, c container.Container, result *report.Result) {
	if exit.ID == "" {
		return
	}
	if err := r.awaitEngine(ctx); err != nil {
		addNote(result, "its container is still there, the next run removes it")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if c.Labels[LabelKeep] != "" && result.Outcome != report.Interrupted && (r.config.Keep != "" || result.Outcome == report.Passed) {
		r.keep(ctx, exit, c, result)
		return
	}
	if err := r.config.Executor.Remove(ctx, exit.ID); err != nil {
		r.noteOutage(result.Name, err)
		addNote(result, "its container could not be removed, the next run removes it: %v", err)
	}
}

// addNote adds a sentence to result.
func addNote(result *report.Result, format string, args ...any) {
	result.Notes = append(result.Notes, fmt.Sprintf(format, args...))
}
