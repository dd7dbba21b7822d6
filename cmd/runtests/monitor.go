package main

import (
	"context"
	"errors"

	"runtests/pkg/history"
	"runtests/pkg/ping"
	"runtests/pkg/report"
)

// watch finds who is to be told of the run. A part of the suite that a person runs by
// hand says nothing of the suite, and nobody is told of it.
func (r *execution) watch() error {
	if r.suite.Ping == "" || r.part && !r.Mail {
		return nil
	}
	var err error
	r.monitor, err = ping.New(r.suite.Ping)
	return err
}

// ping tells the monitor. One that is away
// is no fault of the run, and cron must not mail about it.
func (r *execution) ping(ctx context.Context, w *world, event ping.Event, body string) {
	if r.monitor == nil {
		return
	}
	err := r.monitor.Notify(ctx, event, body)
	switch {
	case err == nil:
	case r.Mail:
		w.log.Debug(err)
	default:
		w.log.Warn(err)
	}
}

// summary is the run in one line, for the monitor.
func summary(run *report.Run, delivered bool) string {
	text := run.Subject()
	if run.Signal != "" {
		text += ", interrupted by " + run.Signal
	}
	if !delivered {
		text += ", the report was not delivered"
	}
	return text
}

// nothingRun says that err stands for neither a run that ended nor one that another
// run of the suite, which tells the monitor itself, held up.
func nothingRun(err error) bool {
	var status exitStatus
	var held *history.HeldError
	return err != nil && !errors.As(err, &status) && !errors.As(err, &held)
}
