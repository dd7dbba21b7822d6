package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// conclude judges the run by the earlier ones, reports it on disk, then by mail or on the console,
// then to the monitor, and removes old runs. saveErr is the error of the last save.
func (p *Pipeline) conclude(ctx context.Context, run *report.Run, saveErr error) *Conclusion {
	if saveErr != nil {
		p.Log.Error(saveErr)
	}
	run.Finished = time.Now()
	run.Notes = p.Mask.Strings(run.Notes)
	run.Signal = signalName(ctx)
	p.history.Conclude(run)
	skipped, forget := p.skipped(run)
	mailDue := p.Mail && due(p.Suite.Mail.Send, run, skipped)
	if err := render.WriteLogPages(p.folder, run, p.Mask); err != nil {
		p.Log.Warn(err)
	}
	if err := errors.Join(p.folder.Save(run), render.WriteReports(p.folder, run)); err != nil {
		p.Log.Error(fmt.Errorf("save the run: %w", err))
	} else {
		forget()
	}
	c := &Conclusion{Run: run, Delivered: p.deliver(ctx, run, mailDue)}
	if _, err := history.Prune(p.Suite.Logs, p.Suite.KeepRuns); err != nil {
		p.Log.Warn(fmt.Errorf("remove old runs: %w", err))
	}
	p.writeRunsPage(run)
	p.notifyEnd(ctx, c)
	return c
}

// Passed reports whether all steps passed.
func (c *Conclusion) Passed() bool {
	_, failures := c.Run.Counts()
	return failures == 0
}

// signalName returns the name of the signal that ended ctx, or "".
func signalName(ctx context.Context) string {
	var signal interface {
		error
		SignalName() string
	}
	if errors.As(context.Cause(ctx), &signal) {
		return signal.SignalName()
	}
	return ""
}

// signOfLife is how long after the last mail a suite with `send: change` mails a report in any
// case: a week, less what one night may be quicker than another.
const signOfLife = 7*24*time.Hour - 12*time.Hour

// due reports whether the suite's policy wants this run mailed. If it is only the weekly sign of
// life, due adds a note that says so.
func due(policy suite.Send, run *report.Run, skipped bool) bool {
	switch _, failures := run.Counts(); policy {
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

// deliver delivers the report: by mail if the plan says so, otherwise on the console. If the mail is
// not accepted, it prints the report as well, so that cron delivers it.
func (p *Pipeline) deliver(ctx context.Context, run *report.Run, mailDue bool) (delivered bool) {
	if p.Mail {
		err := p.mail(ctx, run, mailDue)
		if err == nil {
			return true
		}
		p.Log.Error(fmt.Errorf("the report was not mailed: %w", err))
	}
	if err := p.Console.Print(run); err != nil {
		p.Log.Error(fmt.Errorf("print the report: %w", err))
		return false
	}
	return !p.Mail
}

// mail sends what waits in the spool and, when it is due, the report. An interrupted run is not held
// up by a server that is away: it makes one attempt, for its own report alone.
func (p *Pipeline) mail(ctx context.Context, run *report.Run, due bool) error {
	m, err := NewMailer(p.Suite)
	if err != nil {
		return err
	}
	retry := p.Suite.Mail.RetryFor
	if ctx.Err() != nil {
		ctx, retry = context.WithoutCancel(ctx), 0
	} else {
		m.flushSpool(ctx, p.Log)
	}
	if !due {
		return nil
	}
	err = m.deliver(ctx, run, retry, p.Log)
	if err == nil {
		run.Mailed = time.Now()
	}
	if run.Message == "" {
		return err // no mail is on its way
	}
	if err := p.folder.Save(run); err != nil {
		p.Log.Warn(fmt.Errorf("record that the report was mailed: %w", err))
	}
	return err
}

// writeRunsPage writes the page of all runs after the end of run.
func (p *Pipeline) writeRunsPage(run *report.Run) {
	runs, err := history.ReadHistory(p.Suite.Logs, "")
	if err == nil {
		err = render.WriteRunsPage(p.Suite.Logs, runs, run)
	}
	if err != nil {
		p.Log.Warn(err)
	}
}
