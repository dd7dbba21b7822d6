package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/runner/executortest"
	"runtests/pkg/suite"
)

func TestTry(t *testing.T) {
	const limit = 1 << 20
	ended := errors.New("the time is over")
	exits := func(status int) executortest.Program { return func(*executortest.Process) int { return status } }
	for _, test := range []struct {
		name    string
		image   string
		program executortest.Program // after it has printed
		ends    string               // when the time of the diagnosis is over: in its course, at its end, never
		outcome report.Outcome
		reason  string
		proves  bool
	}{
		{"passes", "image", exits(0), "never", report.Passed, "", true},
		{"fails", "image", exits(3), "never", report.Failed, "exit status 3", true},
		{"out of memory", "image", func(p *executortest.Process) int { p.Use(2 * limit); return 0 }, "never", report.Broken, "out of memory", true},
		{"no such image", "no such image", exits(0), "never", report.Broken, "no such image", false},
		{"stopped", "image", func(p *executortest.Process) int { <-p.Term; return 143 }, "in its course", report.Interrupted, "the time is over", false},
		{"ended by itself just before", "image", exits(0), "at its end", report.Passed, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder, err := history.Create(t.TempDir(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			e, printed := executortest.New("image"), ""
			e.Ended = func(string) {
				if test.ends == "at its end" {
					cancel(ended)
				}
			}
			e.Program("test", func(p *executortest.Process) int {
				printed = "what it printed\n"
				_, _ = io.WriteString(p.Stdout, printed)
				if c := p.Container; c.Labels[LabelKeep] != "" || c.KeepLog || c.Labels[LabelRun] != folder.Path || c.Labels[LabelStep] != "t@i" {
					t.Errorf("%+v", c)
				}
				if test.ends == "in its course" {
					cancel(ended)
				}
				return test.program(p)
			})
			run := &report.Run{ID: folder.ID, Folder: folder.Path, Suite: "s", Steps: []report.Result{{Name: "t@i", Outcome: report.Failed}}}
			r := New(Config{Executor: e, Keeper: e, Images: e, Machine: "m", Run: run, Folder: folder, Observer: &watched{}, Keep: "kept"})
			trial, err := r.Try(ctx, Trial{Number: 2, How: "again", Command: "docker run x", Step: suite.Step{
				Name: "t@i", Test: "t", Timeout: time.Minute, Container: container.Container{Image: test.image, Command: []string{"test"}, Memory: limit},
			}})
			if trial.Outcome != test.outcome || !strings.Contains(trial.Reason, test.reason) || (err == nil) != test.proves || trial.What != "again" || trial.Command != "docker run x" {
				t.Errorf("%+v, %v", trial, err)
			}
			if log, err := os.ReadFile(filepath.Join(folder.Path, "t@i."+folder.ID+".trial-2.log")); err != nil || string(log) != printed || trial.Log != "t@i."+folder.ID+".trial-2.log" {
				t.Errorf("the log %q: %q, %v", trial.Log, log, err)
			}
			if left := e.All(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
			if outcome := run.Steps[0].Outcome; outcome != report.Failed {
				t.Errorf("the step is %s", outcome)
			}
		})
	}
}

// When the time is over before, no container is made.
func TestTryTooLate(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the time is over"))
	e := executortest.New("image")
	e.Program("test", func(*executortest.Process) int { t.Error("it was run"); return 0 })
	r := New(Config{Executor: e, Machine: "m", Run: &report.Run{}, Folder: &history.Folder{}, Observer: &watched{}})
	if trial, err := r.Try(ctx, Trial{Step: suite.Step{Container: container.Container{Image: "image", Command: []string{"test"}}}}); err == nil || trial.Outcome != report.Interrupted {
		t.Errorf("%+v, %v", trial, err)
	}
}

// A verdict is recorded without the suite's secrets; the step keeps the failure it was.
func TestConclude(t *testing.T) {
	folder, err := history.Create(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	run := &report.Run{Version: report.Version, ID: folder.ID, Folder: folder.Path, Steps: []report.Result{{Name: "t@i", Outcome: report.Failed, Reason: "exit status 1"}}}
	r := New(Config{Executor: executortest.New(), Machine: "m", Run: run, Folder: folder, Observer: &watched{}, Mask: plain.NewMask([]string{"swordfish"})})
	if err := r.Conclude(0, report.Verdict{Cause: report.Code, Commits: []report.Commit{{ID: "1", Subject: "the swordfish commit"}}}); err != nil {
		t.Fatal(err)
	}
	saved, err := history.Open(filepath.Dir(folder.Path), folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	step := saved.Steps[0]
	if step.Verdict == nil || step.Verdict.Cause != report.Code || step.Verdict.Commits[0].Subject != "the *** commit" || step.Outcome != report.Failed {
		t.Errorf("%+v, %+v", step, step.Verdict)
	}
}

// A trial whose container cannot be removed counts, and the report says what is left.
func TestTryLeavesItsContainer(t *testing.T) {
	folder, err := history.Create(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	e := executortest.New("image")
	e.Program("test", func(*executortest.Process) int { return 3 })
	e.Ended = func(string) { e.DieAfter(1, errDead) } // it still answers how the container ended
	run := &report.Run{ID: folder.ID, Folder: folder.Path, Steps: []report.Result{{Name: "t@i", Outcome: report.Failed}}}
	r := New(Config{Executor: e, Machine: "m", Run: run, Folder: folder, Observer: &watched{}})
	trial, err := r.Try(t.Context(), Trial{Number: 1, How: "again", Step: suite.Step{
		Name: "t@i", Timeout: time.Minute, Container: container.Container{Image: "image", Command: []string{"test"}},
	}})
	if err != nil || trial.Outcome != report.Failed {
		t.Errorf("%+v, %v", trial, err)
	}
	const want = "the trial of t@i (again): its container could not be removed, the next run removes it: "
	if len(run.Notes) != 1 || !strings.HasPrefix(run.Notes[0], want) || len(e.All()) != 1 {
		t.Errorf("%q, left: %+v", run.Notes, e.All())
	}
}
