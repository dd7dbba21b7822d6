package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// judge sets the outcome of an attempt, with its reason, from what the engine
// said. A step is passed only when its container ended by itself, with exit
// status 0, and the engine knows of nothing else.
func judge(ctx context.Context, step suite.Step, exit container.Exit, err error, result *report.Result) {
	late := "no end within its timeout of " + report.Duration(step.Timeout).String()
	switch {
	case errors.Is(err, errTimeout):
		result.Outcome, result.Reason = report.Timeout, late+": the engine had not started it yet"
		return
	case err != nil:
		broken(ctx, result, explain(step, err))
		return
	}
	result.ExitStatus = &exit.Code
	var runTimeout *RunTimeoutError
	switch {
	case exit.Stopped && errors.Is(context.Cause(ctx), errTimeout):
		result.Outcome = report.Timeout
		result.Reason = late + ", " + stopped(step, exit)
		result.ExitStatus = nil
	case exit.Stopped && errors.As(context.Cause(ctx), &runTimeout):
		result.Outcome = report.Timeout
		result.Reason = runTimeout.Error() + ", " + stopped(step, exit)
		result.ExitStatus = nil
	case exit.Stopped:
		result.Outcome = report.Interrupted
		result.Reason = "the run was interrupted, " + stopped(step, exit)
		result.ExitStatus = nil
	case exit.OOMKilled:
		result.Outcome = report.Broken
		result.Reason, result.Hint = outOfMemory(step, exit)
	case exit.Code != 0:
		result.Outcome = report.Failed
		result.Reason = fmt.Sprintf("exit status %d%s", exit.Code, bySignal(exit.Code))
		if exit.Code == 128+int(syscall.SIGKILL) {
			result.Hint = "something killed it: often the kernel for want of memory, which not every engine tells (mem_limit, the machine's own log)"
		}
	default:
		result.Outcome = report.Passed
	}
}

// broken says that the step could not be carried out because of err; or, when err
// is the end of its context before it started, that this is why.
func broken(ctx context.Context, result *report.Result, err error) {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		result.Outcome = report.Interrupted
		result.Reason = notStarted(cause)
		return
	}
	result.Outcome = report.Broken
	result.Reason = strings.ReplaceAll(err.Error(), "\n", "; ") // errors that were joined
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		result.Hint = hinted.Hint()
	}
}

// notStarted says why a step was not started in a run that ended because of cause.
func notStarted(cause error) string {
	var runTimeout *RunTimeoutError
	if errors.As(cause, &runTimeout) {
		return "not started: " + runTimeout.Error()
	}
	return "not started: the run was interrupted"
}

// stopped says how a container was brought to its end.
func stopped(step suite.Step, exit container.Exit) string {
	if exit.Killed {
		return fmt.Sprintf("killed because it did not end within %s of SIGTERM", report.Duration(step.Container.StopGrace))
	}
	return "it ended on SIGTERM"
}

// explain adds to the engine's error what only the step knows: which interpreter
// it is that the image does not have.
func explain(step suite.Step, err error) error {
	if interpreter := step.Interpreter(); interpreter != "" && errors.Is(err, container.ErrInterpreter) {
		return fmt.Errorf("test.sh asks for %s: %w", interpreter, err)
	}
	return err
}

func outOfMemory(step suite.Step, exit container.Exit) (reason, hint string) {
	reason = "out of memory: the kernel killed a process in it"
	if limit := step.Container.Memory; limit > 0 {
		return fmt.Sprintf("%s at its mem_limit of %s (exit status %d)", reason, units.BytesSize(float64(limit)), exit.Code), "raise its mem_limit, or make it need less"
	}
	return fmt.Sprintf("%s (exit status %d)", reason, exit.Code), "the machine's memory was full: run fewer steps at a time (jobs), or give the test a mem_limit"
}

// bySignal names the signal behind an exit status over 128, as shells count them.
func bySignal(code int) string {
	if code <= 128 || code > 128+64 {
		return ""
	}
	if name := unix.SignalName(syscall.Signal(code - 128)); name != "" {
		return " (" + name + ")"
	}
	return ""
}
