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
	if err == nil {
		return exitPassed
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	w.printError(err)
	var held *history.HeldError
	var elsewhere *deploy.HeldError
	var interrupted *signalError
	switch {
	case errors.As(err, &held), errors.As(err, &elsewhere):
		return exitHeld
	case errors.As(err, &interrupted):
		return interrupted.status()
	}
	return exitNothingRun
}

// printError prints err on stderr, with its remedy on a line of its own. The faults of a suite file
// are printed on lines of their own, where editors find them.
func (w *world) printError(err error) {
	var faults *suite.Errors
	var chain images.Faults
	var unsupported runner.UnsupportedError
	switch {
	case errors.As(err, &faults):
		w.log.Errorf("the suite file is wrong in %d %s:\n%v", len(faults.Problems), plural(len(faults.Problems), "place"), err)
	case errors.As(err, &chain):
		w.log.Errorf("the images cannot be built:\n%v", err)
	case errors.As(err, &unsupported):
		w.log.Errorf("nothing was run, as the engine cannot honour these settings:\n%v", err)
	default:
		w.log.WithError(err).Error(err)
	}
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
