package runner

import (
	"context"
	"errors"
	"fmt"

	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// Trial describes how a step is run once more.
type Trial struct {
	Index   int        // of the step in the run
	Number  int        // of the trial among the step's, from 1
	How     string     // what is different, in words
	Step    suite.Step // with the image and the files to try
	Command string     // the command that does the same by hand
}

// Try runs a failed step once more to find out why it failed: one attempt, with its own log, in a
// container that is then removed. Call it after Run, for one trial at a time. An error means that
// the trial proves nothing, as the test did not come to its own end.
func (r *Runner) Try(ctx context.Context, t Trial) (report.Trial, error) {
	trial := report.Trial{What: t.How, Command: t.Command}
	err := r.awaitEngine(ctx)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = r.try(ctx, t, &trial)
	}
	if err != nil && trial.Outcome == "" {
		trial.Outcome, trial.Reason = report.Broken, err.Error()
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		trial.Outcome, trial.Reason, err = report.Interrupted, cause.Error(), cause
	}
	return trial, err
}

// try runs the container, and records the outcome in trial.
func (r *Runner) try(ctx context.Context, t Trial, trial *report.Trial) error {
	name := r.Folder.TrialFile(t.Step.Name, t.Number)
	log, err := newLog(r.Folder, name, r.MaxLog)
	if err != nil {
		return err
	}
	defer log.close()
	trial.Log = name
	r.Observer.Trying(t.Index, r.result(t.Index), t.How, log)

	c := r.labelled(t.Step)
	r.outages.begin(c.Name)
	defer r.outages.end(c.Name)
	stepCtx, cancel := context.WithTimeoutCause(ctx, t.Step.Timeout, errTimeout)
	defer cancel()
	started := r.Now()
	exit, err := r.Executor.Run(stepCtx, c, log)
	trial.Duration = report.Duration(r.Now().Sub(started))
	trial.ImageID = exit.ImageID
	var result report.Result
	judge(stepCtx, t.Step, exit, err, &result)
	trial.Outcome, trial.Reason = result.Outcome, result.Reason
	r.noteOutage(t.Step.Name, err)
	if err := log.end(); err != nil {
		r.note(fmt.Sprintf("the log %s: %v", name, err))
	}
	r.discard(ctx, exit.ID, t)
	switch {
	case exit.Stopped && ctx.Err() != nil:
		return context.Cause(ctx)
	case !Ran(result):
		return errors.New(result.Reason)
	}
	return nil
}

// Ran reports whether a step came to an end that says something about the test: it passed, failed,
// reached its timeout or ran out of memory.
func Ran(result report.Result) bool {
	switch result.Outcome {
	case report.Passed, report.Failed, report.Timeout:
		return true
	case report.Broken:
		return result.ExitStatus != nil
	}
	return false
}

// discard removes the container of a trial, also after the end of ctx.
func (r *Runner) discard(ctx context.Context, id string, t Trial) {
	if id == "" {
		return
	}
	err := r.awaitEngine(ctx)
	if err == nil || ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		err = r.Executor.Remove(ctx, id)
	}
	if err != nil {
		r.noteOutage(t.Step.Name, err)
		r.note(fmt.Sprintf("the container of the trial of %s (%s) could not be removed, the next run removes it: %v", t.Step.Name, t.How, err))
	}
}

// Conclude records the verdict of a step on disk, and then notifies the observer. An error means
// that the record on disk is not up to date.
func (r *Runner) Conclude(index int, verdict report.Verdict) error {
	result := r.result(index)
	result.Verdict = &verdict
	result.Mask(r.Mask)
	err := r.record(index, result).wait()
	r.Observer.Diagnosed(index, result)
	return err
}
