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
	"runtests/pkg/hint"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// judge sets the outcome of an attempt and its reason. A step passes only if its container ended by
// itself, with exit status 0, and the engine reports no other fault.
func judge(ctx context.Context, step suite.Step, exit container.Exit, err error, result *report.Result) {
	late := "it did not end within its timeout of " + report.Duration(step.Timeout).String()
	switch {
	case errors.Is(err, errTimeout):
		result.Outcome, result.Reason = report.Timeout, late+": the engine had not started it yet"
		return
	case err != nil:
		setBroken(ctx, result, nameInterpreter(step, err))
		return
	case exit.Stopped && errors.Is(context.Cause(ctx), errTimeout):
		result.Outcome, result.Reason = report.Timeout, late+", "+describeStop(step, exit)
		return
	case exit.Stopped:
		outcome, why := endOfRun(context.Cause(ctx))
		result.Outcome, result.Reason = outcome, why+", "+describeStop(step, exit)
		return
	}
	result.ExitStatus = &exit.Code
	switch {
	case exit.OOMKilled:
		result.Outcome = report.Broken
		result.Reason, result.Hint = outOfMemory(step, exit)
	case exit.Code != 0:
		result.Outcome = report.Failed
		result.Reason = fmt.Sprintf("exit status %d%s", exit.Code, bySignal(exit.Code))
		if exit.Code == 128+int(syscall.SIGKILL) {
			result.Hint = "something killed it, often the kernel when memory runs out, which not every engine reports: look at its mem_limit and at the machine's log"
		}
	default:
		result.Outcome = report.Passed
	}
}

// endOfRun returns the outcome of a step that was stopped because the run ended, and why it did.
func endOfRun(cause error) (outcome report.Outcome, why string) {
	var runTimeout *RunTimeoutError
	if errors.As(cause, &runTimeout) {
		return report.Timeout, runTimeout.Error()
	}
	return report.Interrupted, "the run was interrupted"
}

// setBroken marks a step that could not be carried out because of err or, if err is the end of ctx
// before the step started, as interrupted.
func setBroken(ctx context.Context, result *report.Result, err error) {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		result.Outcome = report.Interrupted
		result.Reason = notStarted(cause)
		return
	}
	result.Outcome = report.Broken
	result.Reason = strings.ReplaceAll(err.Error(), "\n", "; ") // errors that were joined
	result.Hint = hint.Of(err)
}

// notStarted returns why a step was not started in a run that ended because of cause.
func notStarted(cause error) string {
	_, why := endOfRun(cause)
	return "not started: " + why
}

// describeStop returns how a container that was stopped came to its end.
func describeStop(step suite.Step, exit container.Exit) string {
	if exit.Killed {
		return fmt.Sprintf("it was killed %s after SIGTERM", report.Duration(step.Container.StopGrace))
	}
	return "it ended on SIGTERM"
}

// nameInterpreter adds to the engine's error the interpreter that the image lacks, which only the
// step knows.
func nameInterpreter(step suite.Step, err error) error {
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

// bySignal returns the signal of an exit status above 128, as shells count.
func bySignal(code int) string {
	if code <= 128 || code > 128+64 {
		return ""
	}
	if name := unix.SignalName(syscall.Signal(code - 128)); name != "" {
		return " (" + name + ")"
	}
	return ""
}
