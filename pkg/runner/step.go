package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// cleanUpTimeout is how long the removal of a container may take once it has ended.
const cleanUpTimeout = time.Minute

// errTimeout is the cause of a step's context after its timeout.
var errTimeout = errors.New("the step did not end within its timeout")

// step runs a step, with its retries, and returns its result.
func (r *Runner) step(ctx context.Context, index int, step suite.Step) report.Result {
	result := r.planned(step)
	if !r.imagePassed(ctx, index, step, &result) {
		return result
	}
	if err := r.awaitEngine(ctx); err != nil {
		setBroken(ctx, &result, err)
		return result
	}
	result.Started = r.Now()
	r.record(index, result) // without waiting for the save
	if err := r.prepare(ctx, step); err != nil {
		setBroken(ctx, &result, err)
	} else {
		r.attempts(ctx, index, step, &result)
	}
	result.Duration = report.Duration(r.Now().Sub(result.Started))
	return result
}

// prepare makes what the step needs ready. It tries once more if the engine went away meanwhile, as
// nothing has run yet.
func (r *Runner) prepare(ctx context.Context, step suite.Step) error {
	err := r.prepareOnce(ctx, step)
	if !errors.Is(err, container.ErrGone) {
		return err
	}
	r.noteOutage(step.Name, err)
	if err := r.awaitEngine(ctx); err != nil {
		return err
	}
	return r.prepareOnce(ctx, step)
}

// attempts runs the step until it passes or its retries are used up.
func (r *Runner) attempts(ctx context.Context, index int, step suite.Step, result *report.Result) {
	for {
		result.Attempts++
		r.attempt(ctx, index, step, result)
		if result.Outcome == report.Passed || ctx.Err() != nil || result.Attempts > step.Retries || r.awaitEngine(ctx) != nil {
			break
		}
	}
	noteAttempts(result, step.Retries)
}

// prepareOnce checks the step's script, and provides its image.
func (r *Runner) prepareOnce(ctx context.Context, step suite.Step) error {
	if step.Script && !r.onEngineOnly(step) {
		if err := step.CheckScript(); err != nil {
			return err
		}
	}
	if r.Images == nil {
		return nil
	}
	return r.images.ensure(ctx, r.Images, step)
}

// onEngineOnly reports whether the step's directory is on another machine, the engine's, where it
// cannot be checked.
func (r *Runner) onEngineOnly(step suite.Step) bool {
	return r.Remote && step.Mount != suite.Copied
}

// attempt runs the step's container once, and records the outcome in result.
func (r *Runner) attempt(ctx context.Context, index int, step suite.Step, result *report.Result) {
	result.Outcome, result.Reason, result.Hint, result.ExitStatus = "", "", "", nil
	log, err := r.createLog(step.Name, result.Attempts)
	if err != nil {
		setBroken(ctx, result, err)
		return
	}
	defer log.close()
	r.Observer.Started(index, *result, log)

	c := r.container(step)
	r.outages.begin(c.Name)
	defer r.outages.end(c.Name)
	stepCtx, cancel := context.WithTimeoutCause(ctx, step.Timeout, errTimeout)
	exit, err := r.Executor.Run(stepCtx, c, log)
	judge(stepCtx, step, exit, err, result)
	cancel()
	if err := log.end(); err != nil {
		result.Notes = append(result.Notes, err.Error())
	}
	result.ImageID = exit.ImageID
	describeLog(log, r.run.Lines, result)
	if errors.Is(err, container.ErrNoImage) {
		r.images.forget(step) // somebody removed it: the next step looks for it again
	}
	r.noteOutage(step.Name, err)
	r.dispose(ctx, exit.ID, step, result)
}

// createLog creates the log of an attempt under the step's own name. It renames the log of the
// previous attempt.
func (r *Runner) createLog(step string, attempt int) (*Log, error) {
	if attempt > 1 {
		if err := r.Folder.PutAside(step, attempt-1); err != nil {
			return nil, err
		}
	}
	return newLog(r.Folder, r.Folder.LogFile(step), r.MaxLog)
}

// container returns the step's container, named and labelled and, if it may be kept, prepared for
// that.
func (r *Runner) container(step suite.Step) container.Container {
	c := r.labelled(step)
	if name := r.keepAs(step); name != "" {
		c.Labels[LabelKeep] = name
		c.KeepLog = true
		if tree := r.Commits[step.Dir]; tree.Dirty {
			c.Labels[LabelCommit] = tree.Commit + "-dirty"
		} else if tree.Commit != "" {
			c.Labels[LabelCommit] = tree.Commit
		}
	}
	return c
}

// labelled returns the step's container with a unique name and our labels.
func (r *Runner) labelled(step suite.Step) container.Container {
	c := step.Container
	c.Name = "runtests-" + container.SafeName(step.Test) + "-" + randomHex()
	c.Labels = map[string]string{
		LabelRun:     r.Folder.Path,
		LabelMachine: r.Machine,
		LabelSuite:   r.run.Suite,
		LabelStep:    step.Name,
	}
	return c
}

// dispose keeps or removes the container of an attempt. It waits for an engine that went away, at
// most for the run's Patience.
func (r *Runner) dispose(ctx context.Context, id string, step suite.Step, result *report.Result) {
	if id == "" {
		return
	}
	if err := r.awaitEngine(ctx); err != nil {
		result.Notes = append(result.Notes, "its container is still there, the next run removes it")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if name := r.keepAs(step); name != "" && result.Outcome != report.Interrupted && (r.Keep != "" || result.Outcome == report.Passed) {
		r.keep(ctx, id, name, result)
		return
	}
	if err := r.Executor.Remove(ctx, id); err != nil {
		r.noteOutage(result.Name, err)
		result.Notes = append(result.Notes, fmt.Sprintf("its container could not be removed, the next run removes it: %v", err))
	}
}

// describeLog records the size and the last lines of a log in result.
func describeLog(log *Log, lines int, result *report.Result) {
	size, count, leftOut := log.Size()
	result.Log = report.Log{File: filepath.Base(log.Path()), Bytes: size, Lines: count, LeftOut: leftOut}
	if leftOut > 0 {
		result.Notes = append(result.Notes, fmt.Sprintf("it printed %s, of which its log leaves out %s in the middle (max_log)", report.Size(size), report.Size(leftOut)))
	}
	tail, err := log.tail(lines)
	if err != nil {
		result.Notes = append(result.Notes, fmt.Sprintf("the end of its log could not be read: %v", err))
	}
	result.Log.Tail = tail
}

func noteAttempts(result *report.Result, retries int) {
	if result.Attempts < 2 {
		return
	}
	verb := "passed on"
	if result.Outcome != report.Passed {
		verb = "ended with"
	}
	result.Notes = append(result.Notes, fmt.Sprintf("%s attempt %d of %d", verb, result.Attempts, retries+1))
}

func randomHex() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: crypto/rand, since Go 1.24
	return hex.EncodeToString(b)
}
