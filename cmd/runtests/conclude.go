package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/ping"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// conclude tells of the run: on disk, then by mail or on stdout, then to the
// monitor. It returns the exit status.
func (r *execution) conclude(ctx context.Context, w *world, folder *history.Folder, run *report.Run, saved error) error {
	s := r.suite
	if saved != nil {
		w.say(saved)
	}
	run.Finished = time.Now()
	if interrupted := interruption(ctx); interrupted != nil {
		run.Signal = interrupted.name()
	}
	r.history.Conclude(run)
	skipped, told := w.skipped(s, run)
	mailDue := r.Mail && due(s, run, skipped)
	if err := render.WriteLogPages(folder, run, w.mask); err != nil {
		w.log.Warn(err)
	}
	if err := errors.Join(folder.Save(run), render.WriteReports(folder, run)); err != nil {
		w.say(fmt.Errorf("save the run: %w", err))
	} else {
		told()
	}
	delivered := r.tell(ctx, w, folder, run, mailDue)
	if _, err := history.Prune(s.Logs, s.KeepRuns); err != nil {
		w.log.Warnf("remove old runs: %v", err)
	}
	w.writePage(s.Logs, run)
	status := statusOf(interruption(ctx), run, delivered)
	event := ping.Success
	if status != exitPassed {
		event = ping.Failure
	}
	r.ping(context.WithoutCancel(ctx), w, event, summary(run, delivered))
	return exitStatus(status)
}

// interruption is the signal that interrupted us, if one did.
func interruption(ctx context.Context) *signalError {
	var interrupted *signalError
	errors.As(context.Cause(ctx), &interrupted)
	return interrupted
}

// statusOf is the exit status of a run.
func statusOf(interrupted *signalError, run *report.Run, delivered bool) int {
	_, failures := run.Counts()
	switch {
	case interrupted != nil:
		return interrupted.status()
	case failures > 0:
		return exitNotPassed
	case !delivered:
		return exitNotDelivered
	}
	return exitPassed
}

// tell delivers the report: by mail with --mail, on stdout otherwise, and there
// too when the mail was not accepted, so that cron delivers it.
func (r *execution) tell(ctx context.Context, w *world, folder *history.Folder, run *report.Run, mailDue bool) (delivered bool) {
	if r.Mail {
		err := w.mail(ctx, r.suite, folder, run, mailDue)
		if err == nil {
			return true
		}
		w.say(fmt.Errorf("the report was not mailed: %w", err))
	}
	if err := render.Render(w.stdout, r.Report, run); err != nil {
		w.say(fmt.Errorf("write the report to stdout: %w", err))
		return false
	}
	return !r.Mail
}

// mail sends what waits in the spool and, when it is due, the report. An interrupted
// run is not held up by a server that is away: it makes one attempt, for its own
// report alone.
func (w *world) mail(ctx context.Context, s *suite.Suite, folder *history.Folder, run *report.Run, due bool) error {
	m, err := newMailer(s)
	if err != nil {
		return err
	}
	retry := s.Mail.RetryFor
	if ctx.Err() != nil {
		ctx, retry = context.WithoutCancel(ctx), 0
	} else {
		w.flushSpool(ctx, m)
	}
	if !due {
		return nil
	}
	err = w.deliver(ctx, m, run, retry)
	if err == nil {
		run.Mailed = time.Now()
	}
	if run.Message == "" {
		return err // it is on its way to nobody
	}
	if err := folder.Save(run); err != nil {
		w.log.Warnf("note that the report was mailed: %v", err)
	}
	return err
}

// signOfLife is how long after the last mail a suite with `send: change` mails a
// report all the same: a week, less what one night may be quicker than another.
const signOfLife = 7*24*time.Hour - 12*time.Hour

// due says whether the suite's policy wants this run mailed, and adds to the report why
// it is when nothing has changed.
func due(s *suite.Suite, run *report.Run, skipped bool) bool {
	switch _, failures := run.Counts(); s.Mail.Send {
	case suite.SendFailure:
		return failures > 0
	case suite.SendChange:
		if skipped || run.Changed() {
			return true
		}
		if run.Finished.Sub(run.Mailed) < signOfLife {
			return false
		}
		run.Notes = append(run.Notes, "nothing has changed: this mail is the weekly sign of life")
	}
	return true
}
