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
	"runtests/pkg/suite"
)

// answers is an engine whose containers end as is said.
type answers struct {
	cutOff
	exit    container.Exit
	err     error
	during  func()
	ran     []container.Container
	removed []string
}

func (a *answers) Run(_ context.Context, c container.Container, output io.Writer) (container.Exit, error) {
	a.ran = append(a.ran, c)
	_, _ = io.WriteString(output, "what it printed\n")
	if a.during != nil {
		a.during()
	}
	return a.exit, a.err
}

func (a *answers) Remove(_ context.Context, id string) error {
	a.removed = append(a.removed, id)
	return nil
}

func TestTry(t *testing.T) {
	ended := errors.New("the time is over")
	for _, test := range []struct {
		name    string
		engine  answers
		ends    bool // the diagnosis, while the container runs
		outcome report.Outcome
		reason  string
		proves  bool
	}{
		{"passes", answers{exit: container.Exit{ID: "c"}}, false, report.Passed, "", true},
		{"fails", answers{exit: container.Exit{ID: "c", Code: 3}}, false, report.Failed, "exit status 3", true},
		{"out of memory", answers{exit: container.Exit{ID: "c", Code: 137, OOMKilled: true}}, false, report.Broken, "out of memory", true},
		{"no such image", answers{err: container.ErrNoImage}, false, report.Broken, "no such image", false},
		{"stopped", answers{exit: container.Exit{ID: "c", Code: 143, Stopped: true}}, true, report.Interrupted, "the time is over", false},
		{"ended by itself just before", answers{exit: container.Exit{ID: "c"}}, true, report.Passed, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder, err := history.Create(t.TempDir(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			e := test.engine
			if test.ends {
				e.during = func() { cancel(ended) }
			}
			run := &report.Run{ID: folder.ID, Folder: folder.Path, Suite: "s", Steps: []report.Result{{Name: "t@i", Outcome: report.Failed}}}
			r := &Runner{Engine: &e, Folder: folder, Observer: &watched{}, Now: time.Now, Machine: "m", Keep: "kept", run: run}
			trial, err := r.Try(ctx, Trial{Number: 2, How: "again", Command: "docker run x", Step: suite.Step{Name: "t@i", Test: "t", Timeout: time.Minute, Container: container.Container{Image: "sha256:1"}}})
			if trial.Outcome != test.outcome || !strings.Contains(trial.Reason, test.reason) || (err == nil) != test.proves || trial.What != "again" || trial.Command != "docker run x" {
				t.Errorf("%+v, %v", trial, err)
			}
			if log, err := os.ReadFile(filepath.Join(folder.Path, "t@i."+folder.ID+".trial-2.log")); err != nil || string(log) != "what it printed\n" || trial.Log != "t@i."+folder.ID+".trial-2.log" {
				t.Errorf("the log %q: %q, %v", trial.Log, log, err)
			}
			c := e.ran[0]
			if _, keep := c.Labels[LabelKeep]; keep || c.KeepLog || c.Labels[LabelRun] != folder.Path || c.Labels[LabelStep] != "t@i" || c.Image != "sha256:1" {
				t.Errorf("%+v", c)
			}
			if test.engine.exit.ID != "" && (len(e.removed) != 1 || e.removed[0] != "c") {
				t.Errorf("removed %v", e.removed)
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
	e := &answers{}
	r := &Runner{Engine: e, Observer: &watched{}, Now: time.Now, run: &report.Run{}}
	if trial, err := r.Try(ctx, Trial{}); err == nil || trial.Outcome != report.Interrupted || len(e.ran) > 0 {
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
	r := &Runner{Folder: folder, Observer: &watched{}, Mask: plain.NewMask([]string{"swordfish"}), run: run}
	r.saver.save = r.save
	if err := r.Conclude(0, report.Verdict{Word: report.Code, Commits: []report.Commit{{ID: "1", Subject: "the swordfish commit"}}}); err != nil {
		t.Fatal(err)
	}
	saved, err := history.Open(filepath.Dir(folder.Path), folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	step := saved.Steps[0]
	if step.Verdict == nil || step.Verdict.Word != report.Code || step.Verdict.Commits[0].Subject != "the *** commit" || step.Outcome != report.Failed {
		t.Errorf("%+v, %+v", step, step.Verdict)
	}
}
