package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

// hold takes the suite's lock, and waits for it as long as the command line says. A
// run that does not get it is noted for the next report.
func (r *execution) hold(ctx context.Context, w *world) (*history.Lock, error) {
	holder := history.Holder{PID: os.Getpid(), Since: time.Now(), Command: strings.Join(os.Args, " ")}
	lock, err := history.WaitSuite(ctx, r.suite.Logs, holder, r.Wait, func(held *history.HeldError) {
		if !r.Mail { // cron would mail it, and all may end well
			w.log.Infof("%v: waiting up to %s for it", held, report.Duration(r.Wait))
		}
	})
	var held *history.HeldError
	if errors.As(err, &held) {
		if err := history.NoteSkipped(r.suite.Logs, history.Skipped{Launched: holder.Since, Since: held.Since}); err != nil {
			w.log.Debug(err)
		}
	}
	return lock, err
}

// cutOff returns what the reader of the report must know of runs that never came to their end.
func (w *world) cutOff(s *suite.Suite, id string) []string {
	notes, err := history.CutOffNotes(s.Logs, id)
	if err != nil {
		w.log.Warn(err)
	}
	return notes
}

// alive says whether the run of a folder goes on. One that is not ours to look at counts
// as alive: its containers are left alone.
func (w *world) alive(folder string) (bool, error) {
	alive, err := history.Alive(folder)
	if errors.Is(err, fs.ErrPermission) {
		w.log.Debugf("the containers of another user's run are left alone: %v", err)
		return true, nil
	}
	return alive, err
}

// sweep removes what dead runs left, and returns what the reader of the report must
// know of it.
func (w *world) sweep(ctx context.Context, e *engine.Engine) (notes []string) {
	removed, errs := runner.Sweep(ctx, e, e, machine(), w.alive)
	for _, c := range removed {
		notes = append(notes, fmt.Sprintf("removed the container %s of the run %s, which was cut off", c.Name, c.Labels[runner.LabelRun]))
	}
	for _, err := range errs {
		notes = append(notes, err.Error())
	}
	return notes
}

// skipped adds to run what its reader must know of runs that did not take place
// because of it, or of one before it. Told must be called when that is on disk.
func (w *world) skipped(s *suite.Suite, run *report.Run) (found bool, told func()) {
	list, size, err := history.ListSkipped(s.Logs)
	if err != nil {
		w.log.Debug(err)
		return false, func() {}
	}
	run.Notes = append(run.Notes, history.SkippedNotes(list, run.Started)...)
	return len(list) > 0, func() {
		if err := history.ForgetSkipped(s.Logs, size); err != nil {
			w.log.Debug(err)
		}
	}
}
