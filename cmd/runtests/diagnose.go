package main

import (
	"context"
	"path/filepath"

	"runtests/pkg/container"
	"runtests/pkg/diagnose"
	"runtests/pkg/engine"
	"runtests/pkg/images"
	"runtests/pkg/inventory"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/worktree"
)

// diagnose looks for the causes of what fails newly in run, all of whose steps have ended,
// and records the verdicts. The error says that the record on disk is not up to date.
func (r *execution) diagnose(ctx context.Context, w *world, e *engine.Engine, carrier *runner.Runner, run *report.Run) error {
	if !r.diagnoses {
		return nil
	}
	cases := r.cases(w, run, carrier.Commits)
	if len(cases) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.suite.DiagnoseTimeout, &diagnose.TimeoutError{Limit: r.suite.DiagnoseTimeout})
	defer cancel()
	finder := &diagnose.Finder{Lab: &laboratory{carrier, e, r, run}, CLI: carrier.CLI, Remote: carrier.Remote}
	return finder.Find(ctx, cases)
}

// cases are the steps of run whose causes are looked for.
func (r *execution) cases(w *world, run *report.Run, trees map[string]worktree.State) []diagnose.Case {
	var cases []diagnose.Case
	var names []string
	tests := len(run.Steps) - len(r.steps) // they come after the builds
	for i, step := range r.steps {
		if result := run.Steps[tests+i]; diagnose.Wanted(result) {
			cases = append(cases, diagnose.Case{Index: tests + i, Step: step, Failed: result, Tree: trees[step.Dir]})
			names = append(names, step.Name)
		}
	}
	if len(cases) == 0 {
		return nil
	}
	passes, err := r.history.Passes(r.suite.Logs, names)
	if err != nil {
		w.log.Debug(err) // the verdict says what is not known
	}
	for i := range cases {
		cases[i].Passed = passes[cases[i].Step.Name]
	}
	return cases
}

// laboratory is where a run makes its experiments.
type laboratory struct {
	*runner.Runner
	engine *engine.Engine
	asked  *execution
	run    *report.Run
}

// Image returns the name that an image keeps.
func (l *laboratory) Image(ctx context.Context, id string) (string, error) {
	found, err := l.engine.Image(ctx, id)
	if err != nil {
		return "", err
	}
	return l.asked.passed().NameOf(found), nil
}

// Packages compares the inventories of two images, which are taken now where there is none.
func (l *laboratory) Packages(ctx context.Context, before, after string) ([]report.PackageChange, error) {
	var inventories [2]inventory.Inventory
	for i, id := range []string{before, after} {
		var err error
		inventories[i], err = inventory.Of(ctx, l.engine, l.asked.suite.Logs, container.Container{Image: id, Labels: ourLabels(l.run)})
		if err != nil {
			return nil, err
		}
	}
	return inventory.Compare(inventories[0], inventories[1]), nil
}

// Work makes a folder for files of a test.
func (l *laboratory) Work() (string, error) { return l.Folder.MakeWork() }

// passed are the names under which the suite keeps the images that its tests last passed on.
func (r *execution) passed() images.Passed { return passedImages(r.suite.Name, r.suite.Logs) }

func passedImages(suite, logs string) images.Passed {
	if full, err := filepath.Abs(logs); err == nil {
		logs = full
	}
	return images.Passed{Suite: suite, Logs: logs, Machine: machine()}
}

// ourLabels are those of a container that a run makes besides its steps'.
func ourLabels(run *report.Run) map[string]string {
	return map[string]string{runner.LabelRun: run.Folder, runner.LabelMachine: machine(), runner.LabelSuite: run.Suite}
}
