package runner

import (
	"context"
	"errors"

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
	name := r.config.Folder.TrialFile(t.Step.Name, t.Number)
	log, err := newLog(r.config.Folder, name, r.config.MaxLog)
	if err != nil {
		return err
	}
	defer log.close()
	trial.Log = name
	r.config.Observer.Trying(t.Index, r.record.step(t.Index), t.How, log)

	result := report.Result{Name: t.Step.Name}
	exit := r.runContainer(ctx, t.Step, r.labelled(t.Step, "", ""), log, &result)
	trial.Outcome, trial.Reason, trial.Duration, trial.ImageID = result.Outcome, result.Reason, result.Duration, result.ImageID
	for _, note := range result.Notes {
		r.record.note("the trial of %s (%s): %s", t.Step.Name, t.How, note)
	}
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

// Conclude records the verdict of a step on disk, and then notifies the observer. An error means
// that the record on disk is not up to date.
func (r *Runner) Conclude(index int, verdict report.Verdict) error {
	result := r.record.step(index)
	result.Verdict = &verdict
	result.Mask(r.config.Mask)
	err := r.record.set(index, result).wait()
	r.config.Observer.Diagnosed(index, result)
	return err
}
