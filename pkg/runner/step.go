package runner

import (
	"context"
	"errors"
	"path/filepath"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// step runs a step, with its retries, and returns its result.
func (r *Runner) step(ctx context.Context, index int, step suite.Step) report.Result {
	result := r.config.planned(step)
	if !r.imagePassed(ctx, index, step, &result) {
		return result
	}
	if err := r.awaitEngine(ctx); err != nil {
		setBroken(ctx, &result, err)
		return result
	}
	result.Started = r.config.Now()
	r.record.set(index, result) // without waiting for the save
	if err := r.prepare(ctx, step); err != nil {
		setBroken(ctx, &result, err)
	} else {
		r.attempts(ctx, index, step, &result)
	}
	result.Duration = report.Duration(r.config.Now().Sub(result.Started))
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

// prepareOnce checks the step's directories and its script, and provides its image.
func (r *Runner) prepareOnce(ctx context.Context, step suite.Step) error {
	if err := r.guard(step); err != nil {
		return err
	}
	if step.Script && !r.onEngineOnly(step) {
		if err := step.CheckScript(); err != nil {
			return err
		}
	}
	if r.config.Images == nil {
		return nil
	}
	return r.images.ensure(ctx, r.config.Images, step)
}

// onEngineOnly reports whether the step's directory is on another machine, the engine's, where it
// cannot be checked.
func (r *Runner) onEngineOnly(step suite.Step) bool {
	return r.config.Remote && step.Mount != suite.Copied
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
	r.config.Observer.Started(index, *result, log)
	r.runContainer(ctx, step, r.container(step), log, result)
	describeLog(log, r.config.Run.Lines, result)
}

// createLog creates the log of an attempt under the step's own name. It renames the log of the
// previous attempt.
func (r *Runner) createLog(step string, attempt int) (*Log, error) {
	if attempt > 1 {
		if err := r.config.Folder.PutAside(step, attempt-1); err != nil {
			return nil, err
		}
	}
	return newLog(r.config.Folder, r.config.Folder.LogFile(step), r.config.MaxLog)
}

// describeLog records the size and the last lines of a log in result.
func describeLog(log *Log, lines int, result *report.Result) {
	size, count, leftOut := log.Size()
	result.Log = report.Log{File: filepath.Base(log.Path()), Bytes: size, Lines: count, LeftOut: leftOut}
	if leftOut > 0 {
		addNote(result, "it printed %s, of which its log leaves out %s in the middle (max_log)", report.Size(size), report.Size(leftOut))
	}
	tail, err := log.tail(lines)
	if err != nil {
		addNote(result, "the end of its log could not be read: %v", err)
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
	addNote(result, "%s attempt %d of %d", verb, result.Attempts, retries+1)
}
