package main

import (
	"context"
	"errors"

	"runtests/pkg/deploy"
	"runtests/pkg/history"
	"runtests/pkg/images"
	"runtests/pkg/pipeline"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

// The exit statuses. An interrupted run ends with 128 and the signal's number.
const (
	exitPassed       = 0 // all passed, and the report was delivered
	exitNotPassed    = 1 // a step did not pass
	exitNothingRun   = 2 // usage, suite file, engine, no test found
	exitHeld         = 3 // another run of this suite, or another deployment, is going on
	exitNotDelivered = 4 // all passed, but the report was not delivered
)

// exitStatus is an error for which nothing more is to be printed.
type exitStatus int

func (exitStatus) Error() string { return "exit" }

// fail prints err, unless it is an exitStatus, and returns the exit status for it.
func (w *world) fail(err error) int {
	var status exitStatus
	var held *history.HeldError
	var elsewhere *deploy.HeldError
	var interrupted *signalError
	switch {
	case err == nil:
		return exitPassed
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &held), errors.As(err, &elsewhere):
		w.printError(err)
		return exitHeld
	case errors.As(err, &interrupted):
		w.printError(err)
		return interrupted.status()
	}
	w.printError(err)
	return exitNothingRun
}

// printError prints err on stderr, with its remedy on a line of its own. The faults of a suite file
// are printed on lines of their own, where editors find them.
func (w *world) printError(err error) {
	var faults *suite.Errors
	if errors.As(err, &faults) {
		w.log.Errorf("the suite file is wrong in %d %s:\n%v", len(faults.Problems), plural(len(faults.Problems), "place"), err)
		return
	}
	var chain images.Faults
	if errors.As(err, &chain) {
		w.log.Errorf("the images cannot be built:\n%v", err)
		return
	}
	var unsupported runner.UnsupportedError
	if errors.As(err, &unsupported) {
		w.log.Errorf("nothing was run, as the engine cannot honour these settings:\n%v", err)
		return
	}
	w.log.WithError(err).Error(err)
}

// statusOf returns the exit status of a run.
func statusOf(ctx context.Context, c *pipeline.Conclusion) int {
	var interrupted *signalError
	switch {
	case errors.As(context.Cause(ctx), &interrupted):
		return interrupted.status()
	case !c.Passed():
		return exitNotPassed
	case !c.Delivered:
		return exitNotDelivered
	}
	return exitPassed
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
