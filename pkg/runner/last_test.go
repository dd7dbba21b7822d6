package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// ended is how a container of keptBy ended.
func ended(c container.Summary) container.Exit {
	return container.Exit{ID: c.ID, ImageID: "sha256:image", Started: c.Created, Finished: c.Created.Add(time.Second)}
}

func origin(logs string) Origin {
	return Origin{Logs: logs, Machine: "m", Suite: "suite", Step: "step@image"}
}

// What is promoted again is the newest container that a run kept when its test passed: not one that
// failed, was never renamed, is another step's or suite's, or only has the labels of one.
func TestLastKept(t *testing.T) {
	logs, elsewhere := t.TempDir(), t.TempDir()
	const run = "2026-11-22T03-00-04"
	otherStep := keptBy(t, logs, 13, run, "third", "third")
	otherStep.Labels[LabelStep] = "another@image"
	copied := keptBy(t, logs, 10, run, "copied", "copied")
	copied.ID = id(99)
	never := []container.Summary{
		keptBy(t, logs, 11, run, "prod", "prod-failed"),
		keptBy(t, logs, 12, run, "prod", "runtests-step-0000000c"),
		otherStep,
		keptBy(t, elsewhere, 14, run, "of-a-namesake", "of-a-namesake"),
		copied,
	}
	older, newer := keptBy(t, logs, 1, run, "prod", "prod"), keptBy(t, logs, 2, run, "other", "other")
	e := holding(append(never, older, newer)...)
	e.End(newer.ID, ended(newer))
	last, err := LastKept(t.Context(), e, e, origin(logs))
	if err != nil || last.ID != newer.ID || last.ImageID != "sha256:image" {
		t.Errorf("%+v, %v", last, err)
	}
	link := filepath.Join(t.TempDir(), "logs")
	if err := os.Symlink(logs, link); err != nil {
		t.Fatal(err)
	}
	if last, err := LastKept(t.Context(), e, e, origin(link)); err != nil || last.ID != newer.ID {
		t.Errorf("by a link to the folder of logs: %+v, %v", last, err)
	}
	e = holding(never...)
	if last, err := LastKept(t.Context(), e, e, origin(logs)); !errors.Is(err, ErrNoneKept) {
		t.Errorf("%+v, %v", last, err)
	}
}

// A container that was started again is not what was tested, whatever became of it, and no older
// one is promoted in its place.
func TestLastKeptIsUnchanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*container.Summary, *container.Exit)
		want   string
	}{
		"as it was":              {func(*container.Summary, *container.Exit) {}, ""},
		"it runs":                {func(c *container.Summary, _ *container.Exit) { c.State = "running" }, "but it was started again, and is running"},
		"it is paused":           {func(c *container.Summary, _ *container.Exit) { c.State = "paused" }, "but it was started again, and is paused"},
		"it ended once more":     {func(_ *container.Summary, e *container.Exit) { e.Finished = e.Finished.Add(time.Nanosecond) }, "but it was started again after its test"},
		"with another status":    {func(_ *container.Summary, e *container.Exit) { e.Code = 1 }, "but it ended with exit status 1"},
		"it is of another image": {func(_ *container.Summary, e *container.Exit) { e.ImageID = "sha256:other" }, "but it was made of another image"},
	} {
		t.Run(name, func(t *testing.T) {
			logs := t.TempDir()
			older := keptBy(t, logs, 1, "2026-11-22T03-00-04", "older", "older")
			c := keptBy(t, logs, 2, "2026-11-22T03-00-04", "prod", "prod")
			exit := ended(c)
			test.change(&c, &exit)
			e := holding(older, c)
			e.End(older.ID, ended(older))
			e.End(c.ID, exit)
			last, err := LastKept(t.Context(), e, e, origin(logs))
			switch {
			case test.want == "" && (err != nil || last.ID != c.ID):
				t.Errorf("%+v, %v", last, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), "the container prod was tested, "+test.want) || hint.Of(err) == ""):
				t.Errorf("%v", err)
			}
		})
	}
}

// A container that an earlier version kept is promoted if its run's record covers its end.
func TestLastKeptOfAnEarlierVersion(t *testing.T) {
	for name, test := range map[string]struct {
		after   time.Duration // the end, after the start of the step, which took a minute
		outcome report.Outcome
		pruned  bool
		want    string
	}{
		"as it was":     {after: time.Minute, outcome: report.Passed},
		"started again": {after: 2 * time.Minute, outcome: report.Passed, want: "it was started again after its test"},
		"started again at once, which the clock hides": {after: time.Minute + endSlack, outcome: report.Passed},
		"not passed": {after: time.Minute, outcome: report.Failed, want: "does not say that step@image passed"},
		"no record":  {after: time.Minute, outcome: report.Passed, pruned: true, want: "the record of its run is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			logs := t.TempDir()
			folder, err := history.Create(logs, launched)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			run := &report.Run{Version: report.Version, ID: folder.ID, Folder: folder.Path, Started: launched, Finished: launched.Add(time.Hour), Steps: []report.Result{
				{Name: "step@image", Kind: report.KindTest, Outcome: test.outcome, ImageID: "sha256:image", Started: launched, Duration: report.Duration(time.Minute)},
			}}
			if err := folder.Save(run); err != nil {
				t.Fatal(err)
			}
			if test.pruned {
				if err := os.Remove(filepath.Join(folder.Path, history.RecordFile)); err != nil {
					t.Fatal(err)
				}
			}
			labels := map[string]string{LabelRun: folder.Path, LabelMachine: "m", LabelSuite: "suite", LabelStep: "step@image", LabelKeep: "passed-suite-step_image"}
			c := container.Summary{ID: id(1), Name: "passed-suite-step_image", State: "exited", Created: launched, Labels: labels}
			e := holding(c)
			e.End(c.ID, container.Exit{ImageID: "sha256:image", Finished: launched.Add(test.after)})
			last, err := LastKept(t.Context(), e, e, origin(logs))
			switch {
			case test.want == "" && (err != nil || last.ImageID != "sha256:image"):
				t.Errorf("%+v, %v", last, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || hint.Of(err) == ""):
				t.Errorf("%v", err)
			}
		})
	}
}

// The automatic name has a hash now. What an earlier version kept for the same step goes when its
// successor is kept; what it kept for another suite, which reads alike, stays.
func TestFormerNameIsFreed(t *testing.T) {
	for _, same := range []bool{true, false} {
		e := inMemory()
		steps := stepsOf("pass")
		run, _ := runSteps(t.Context(), t, e, steps, func(c *Config) {
			c.Run.Suite = "x"
			c.KeepPassed = func(suite.Step) string { return "passed-x-hash" }
			c.FormerName = func(suite, step string) string { return "passed-" + suite + "-" + container.SafeName(step) }
			labels := map[string]string{LabelRun: c.Folder.Path, LabelMachine: "m", LabelSuite: "x", LabelStep: steps[0].Name, LabelKeep: "passed-x-0-pass_image"}
			if !same {
				labels[LabelSuite], labels[LabelStep] = "x-0", "pass@image"
			}
			e.Add(container.Summary{ID: id(77), Name: "passed-x-0-pass_image", State: "exited", Created: time.Now(), Labels: labels})
		})
		if run.Steps[0].Container != "passed-x-hash" {
			t.Errorf("%+v", run.Steps[0])
		}
		if got := strings.Contains(names(e), id(77)); got == same {
			t.Errorf("of the same step %v: %s", same, names(e))
		}
	}
}
