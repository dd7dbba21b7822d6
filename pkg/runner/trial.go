package runner

import (
	"context"
	"errors"
	"fmt"

	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// Trial is a way to run a step once more.
type Trial struct {
	Index   int        // of the step in the run
	Number  int        // counts the step's trials, from 1
	How     string     // in words
	Step    suite.Step // the step, on the image and with the files that are to be tried
	Command string     // does the same by hand
}

// Try runs a step that has ended once more, to find out why it failed: one attempt, with a
// log of its own, in a container that is removed. It is called after Run, for one trial at
// a time, so that it disturbs nothing. The error says that the trial proves nothing: it did
// not come to an end of its own.
func (r *Runner) Try(ctx context.Context, t Trial) (report.Trial, error) {
	trial := report.Trial{What: t.How, Command: t.Command}
	err := r.await(ctx)
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

// try runs the container, and sets what trial says of it.
func (r *Runner) try(ctx context.Context, t Trial, trial *report.Trial) error {
	name := r.Folder.TrialFile(t.Step.Name, t.Number)
	log, err := newLog(r.Folder, name, r.MaxLog)
	if err != nil {
		return err
	}
	defer log.close()
	trial.Log = name
	r.Observer.Trying(t.Index, r.result(t.Index), t.How, log)

	container := r.labelled(t.Step)
	r.outages.begin(container.Name)
	defer r.outages.end(container.Name)
	stepCtx, cancel := context.WithTimeoutCause(ctx, t.Step.Timeout, errTimeout)
	defer cancel()
	started := r.Now()
	exit, err := r.Executor.Run(stepCtx, container, log)
	trial.Duration = report.Duration(r.Now().Sub(started))
	trial.ImageID = exit.ImageID
	var result report.Result
	judge(stepCtx, t.Step, exit, err, &result)
	trial.Outcome, trial.Reason = result.Outcome, result.Reason
	r.notice(t.Step.Name, err)
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

// Ran says that a step came to an end that tells something of it: it passed or failed, its
// own time was over, or it was out of memory. What could not be carried out is none of these.
func Ran(result report.Result) bool {
	switch result.Outcome {
	case report.Passed, report.Failed, report.Timeout:
		return true
	case report.Broken:
		return result.ExitStatus != nil
	}
	return false
}

// discard removes the container of a trial.
func (r *Runner) discard(ctx context.Context, id string, t Trial) {
	if id == "" {
		return
	}
	err := r.await(ctx)
	if err == nil || ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), cleanUpBound)
		defer cancel()
		err = r.Executor.Remove(ctx, id)
	}
	if err != nil {
		r.notice(t.Step.Name, err)
		r.note(fmt.Sprintf("the container in which %s was run %s is still there, the next run removes it: %v", t.Step.Name, t.How, err))
	}
}

// Conclude records the verdict of a step, on disk first and then for whoever watches. The
// error says that the record on disk is not up to date.
func (r *Runner) Conclude(index int, verdict report.Verdict) error {
	result := r.result(index)
	result.Verdict = &verdict
	result.Mask(r.Mask)
	err := r.record(index, result).wait()
	r.Observer.Diagnosed(index, result)
	return err
}
