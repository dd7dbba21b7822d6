package runner

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

func TestJudge(t *testing.T) {
	step := suite.Step{Timeout: 2 * time.Hour, Container: container.Container{StopGrace: 10 * time.Second}}
	limited := step
	limited.Container.Memory = 64 << 20
	interrupt := errors.New("interrupted by SIGINT")
	for _, test := range []struct {
		name    string
		step    suite.Step
		cause   error // of the end of the step's context; nil: it has not ended
		exit    container.Exit
		err     error
		outcome report.Outcome
		reason  string
	}{
		{"passed", step, nil, container.Exit{}, nil, report.Passed, ""},
		{"failed", step, nil, container.Exit{Code: 2}, nil, report.Failed, "exit status 2"},
		{"by a signal", step, nil, container.Exit{Code: 139}, nil, report.Failed, "exit status 139 (SIGSEGV)"},
		{"not a signal", step, nil, container.Exit{Code: 255}, nil, report.Failed, "exit status 255"},
		{"out of memory", limited, nil, container.Exit{Code: 137, OOMKilled: true}, nil, report.Broken,
			"out of memory: the kernel killed a process in it at its mem_limit of 64MiB (exit status 137)"},
		{"out of memory, and exit status 0 all the same", step, nil, container.Exit{OOMKilled: true}, nil, report.Broken,
			"out of memory: the kernel killed a process in it (exit status 0)"},
		{"timeout", step, errTimeout, container.Exit{Stopped: true, Code: 143}, nil, report.Timeout,
			"it did not end within its timeout of 2h, it ended on SIGTERM"},
		{"timeout, exit status 0 on TERM", step, errTimeout, container.Exit{Stopped: true}, nil, report.Timeout,
			"it did not end within its timeout of 2h, it ended on SIGTERM"},
		{"timeout, killed", step, errTimeout, container.Exit{Stopped: true, Killed: true, Code: 137}, nil, report.Timeout,
			"it did not end within its timeout of 2h, it was killed 10s after SIGTERM"},
		{"ended by itself just before its timeout", step, errTimeout, container.Exit{}, nil, report.Passed, ""},
		{"interrupted", step, interrupt, container.Exit{Stopped: true, Code: 143}, nil, report.Interrupted,
			"the run was interrupted, it ended on SIGTERM"},
		{"interrupted before its start", step, interrupt, container.Exit{}, fmt.Errorf("create: %w", interrupt), report.Interrupted,
			"not started: the run was interrupted"},
		{"timeout before its start", step, errTimeout, container.Exit{}, fmt.Errorf("create: %w", errTimeout), report.Timeout,
			"it did not end within its timeout of 2h: the engine had not started it yet"},
		{"the engine went away while it was interrupted", step, interrupt, container.Exit{}, container.ErrGone, report.Broken,
			container.ErrGone.Error()},
		{"no such image", step, nil, container.Exit{}, container.ErrNoImage, report.Broken, "no such image"},
		{"truncated, whatever the exit status", step, nil, container.Exit{}, container.ErrTruncated, report.Broken, "its output is not complete"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if test.cause != nil {
				cancel(test.cause)
			}
			var result report.Result
			judge(ctx, test.step, test.exit, test.err, &result)
			if result.Outcome != test.outcome || result.Reason != test.reason {
				t.Errorf("%s: %s\nwant %s: %s", result.Outcome, result.Reason, test.outcome, test.reason)
			}
		})
	}
}
