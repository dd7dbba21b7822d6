package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/container"
	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/runner/executortest"
	"runtests/pkg/suite"
)

// built is an Update that ends as told, and prints when it does something.
func built(b Built, err error, output string) func(context.Context, func() (io.Writer, error)) (Built, error) {
	return func(_ context.Context, open func() (io.Writer, error)) (Built, error) {
		if output != "" {
			log, openErr := open()
			if openErr != nil {
				return b, openErr
			}
			if _, printErr := io.WriteString(log, output); printErr != nil {
				return b, printErr
			}
		}
		return b, err
	}
}

// watched is an Observer that remembers the order in which steps ended.
type watched struct{ started, finished []string }

func (w *watched) Started(_ int, result report.Result, _ *Log) {
	w.started = append(w.started, result.Name)
}
func (w *watched) Finished(_ int, result report.Result) {
	w.finished = append(w.finished, result.Name+" "+string(result.Outcome))
}

func (*watched) Trying(int, report.Result, string, *Log) {}
func (*watched) Diagnosed(int, report.Result)            {}

// carryOut runs builds without steps, one at a time.
func carryOut(ctx context.Context, t *testing.T, builds ...Build) (*report.Run, *watched) {
	t.Helper()
	folder, err := history.Create(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	seen := &watched{}
	run := &report.Run{Version: report.Version, ID: folder.ID, Folder: folder.Path, Lines: 5}
	r := New(Config{Executor: executortest.New(), Machine: "m", Run: run, Folder: folder, Observer: seen})
	if err := r.Run(ctx, builds, nil); err != nil {
		t.Fatal(err)
	}
	return run, seen
}

// What an image that failed keeps from being built is blocked by it, and by nothing between.
func TestFailedImageBlocksWhatNeedsIt(t *testing.T) {
	failure := &container.BuildError{Line: 3, Instruction: "RUN apt-get install m5", Code: 100}
	never := built(Built{}, errors.New("it was tried"), "")
	run, seen := carryOut(t.Context(), t,
		Build{Name: "tools", Update: built(Built{ImageID: "sha256:1"}, nil, "")},
		Build{Name: "ocaml", Needs: []string{"tools"}, Update: built(Built{}, failure, "no such package\n")},
		Build{Name: "deps", Needs: []string{"ocaml"}, Update: never},
		Build{Name: "more", Needs: []string{"tools", "deps"}, Update: never},
		Build{Name: "other", Update: built(Built{Facts: report.Build{Current: true}}, nil, "")},
	)
	want := []string{"tools passed", "ocaml failed", "deps blocked", "more blocked", "other passed"}
	if diff := cmp.Diff(want, seen.finished); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ocaml"}, seen.started); diff != "" {
		t.Errorf("shown while it was built: %s", diff)
	}
	failed := run.Steps[1]
	if failed.Reason != "exit status 100" || *failed.ExitStatus != 100 || !slices.Contains(failed.Notes, "line 3 of the Dockerfile: RUN apt-get install m5") {
		t.Errorf("got %+v", failed)
	}
	if tail := failed.Log.Tail.Lines; !slices.Equal(tail, []string{"no such package"}) {
		t.Errorf("its log ends with %q", tail)
	}
	for _, blocked := range run.Steps[2:4] {
		if blocked.BlockedBy != "ocaml" || blocked.Reason != "the image ocaml failed" || blocked.Log.File != "" {
			t.Errorf("got %+v", blocked)
		}
	}
}

// How a build ended, from its error and the context's.
func TestJudgeBuild(t *testing.T) {
	late, lateCancel := context.WithCancelCause(t.Context())
	lateCancel(errTimeout)
	over, overCancel := context.WithCancelCause(t.Context())
	overCancel(&RunTimeoutError{Limit: time.Hour})
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("SIGINT"))
	full := fmt.Errorf("%w: %w", container.ErrNoSpace, &container.BuildError{Message: "no space left on device"})
	for name, c := range map[string]struct {
		ctx     context.Context
		err     error
		outcome report.Outcome
		reason  string
	}{
		"passed":      {t.Context(), nil, report.Passed, ""},
		"passed late": {late, nil, report.Passed, ""},
		"syntax":      {t.Context(), &container.BuildError{Line: 1, Message: "unknown instruction: FORM"}, report.Failed, "unknown instruction: FORM"},
		"killed":      {t.Context(), &container.BuildError{Code: 137}, report.Failed, "exit status 137 (SIGKILL)"},
		"disk full":   {t.Context(), full, report.Broken, full.Error()},
		"late":        {late, context.Canceled, report.Timeout, "not built within its timeout of 2h"},
		"run timeout": {over, context.Canceled, report.Timeout, "the run did not end within its run_timeout of 1h, the build was stopped"},
		"interrupted": {stopped, context.Canceled, report.Interrupted, "the run was interrupted, the build was stopped"},
		"no engine":   {t.Context(), container.ErrGone, report.Broken, container.ErrGone.Error()},
	} {
		var result report.Result
		judgeBuild(c.ctx, Build{Timeout: 2 * time.Hour}, c.err, &result)
		if result.Outcome != c.outcome || result.Reason != c.reason {
			t.Errorf("%s: %s, %s", name, result.Outcome, result.Reason)
		}
	}
}

// An interrupted image does not block: what needs it was interrupted too.
func TestInterruptedImageDoesNotBlock(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	run, _ := carryOut(ctx, t,
		Build{Name: "tools", Update: func(ctx context.Context, _ func() (io.Writer, error)) (Built, error) {
			cancel(errors.New("SIGTERM"))
			return Built{}, context.Cause(ctx)
		}},
		Build{Name: "ocaml", Needs: []string{"tools"}, Update: built(Built{}, nil, "")},
	)
	for _, step := range run.Steps {
		if step.Outcome != report.Interrupted {
			t.Errorf("%s: %s, %s", step.Name, step.Outcome, step.Reason)
		}
	}
}

func TestIndexNeeds(t *testing.T) {
	got := indexNeeds(
		[]Build{{Name: "tools"}, {Name: "ocaml", Needs: []string{"tools"}}, {Name: "deps", Needs: []string{"ocaml", "tools"}}},
		[]suite.Step{{Image: "debian"}, {Image: "deps"}},
	)
	if diff := cmp.Diff([][]int{nil, {0}, {1, 0}, nil, {2}}, got); diff != "" {
		t.Error(diff)
	}
}
