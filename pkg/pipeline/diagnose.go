package pipeline

import (
	"context"

	"runtests/pkg/container"
	"runtests/pkg/diagnose"
	"runtests/pkg/inventory"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

// diagnose diagnoses the new failures of run, whose steps have ended, and records the verdicts. The
// error says that the record on disk is not up to date.
func (p *Pipeline) diagnose(ctx context.Context, steps *runner.Runner, run *report.Run, trees map[string]worktree.State) error {
	if !p.Diagnose {
		return nil
	}
	cases := p.cases(run, trees)
	if len(cases) == 0 {
		return nil
	}
	limit := p.Suite.DiagnoseTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &diagnose.TimeoutError{Limit: limit})
	defer cancel()
	info := p.engine.Info()
	finder := &diagnose.Finder{Lab: &lab{p, steps, run}, Trees: p.worktrees(), CLI: info.CLI(), Remote: !info.Local}
	return finder.Find(ctx, cases)
}

// cases returns the failures of run that are to be diagnosed.
func (p *Pipeline) cases(run *report.Run, trees map[string]worktree.State) []diagnose.Case {
	steps := map[string]suite.Step{}
	for _, step := range p.Steps {
		steps[step.Name] = step
	}
	var cases []diagnose.Case
	var names []string
	for i, result := range run.Steps {
		if diagnose.Wanted(result) {
			step := steps[result.Name]
			if owned, err := step.WithOwner(p.Suite.Regions()); err == nil {
				step = owned // in the commands of the experiments
			}
			cases = append(cases, diagnose.Case{Index: i, Step: step, Failed: result, Tree: trees[step.Dir]})
			names = append(names, step.Name)
		}
	}
	if len(cases) == 0 {
		return nil
	}
	passes, err := p.history.LastPasses(p.Suite.Logs, names)
	if err != nil {
		p.Log.Debug(err) // the verdict says what is not known
	}
	for i := range cases {
		cases[i].Passed = passes[cases[i].Step.Name]
	}
	return cases
}

// A lab carries out the experiments of a diagnosis with what the run has.
type lab struct {
	pipeline *Pipeline
	steps    *runner.Runner
	run      *report.Run
}

// Try implements diagnose.Lab.
func (l *lab) Try(ctx context.Context, trial runner.Trial) (report.Trial, error) {
	return l.steps.Try(ctx, trial)
}

// Conclude implements diagnose.Lab.
func (l *lab) Conclude(index int, verdict report.Verdict) error {
	return l.steps.Conclude(index, verdict)
}

// Image implements diagnose.Lab: it returns the name that the suite keeps the image by.
func (l *lab) Image(ctx context.Context, id string) (string, error) {
	found, err := l.pipeline.engine.Image(ctx, id)
	if err != nil {
		return "", err
	}
	return Keeper(l.pipeline.Suite).NameOf(found), nil
}

// Packages implements diagnose.Lab: it compares the inventories of two images, and takes those that
// are missing.
func (l *lab) Packages(ctx context.Context, before, after string) ([]report.PackageChange, error) {
	var inventories [2]inventory.Inventory
	for i, id := range []string{before, after} {
		var err error
		inventories[i], err = inventory.Of(ctx, l.pipeline.engine, l.pipeline.Suite.Logs, container.Container{Image: id, Labels: labelsOf(l.run)})
		if err != nil {
			return nil, err
		}
	}
	return inventory.Compare(inventories[0], inventories[1]), nil
}

// Work implements diagnose.Lab: the folder lies in the run's.
func (l *lab) Work() (string, error) { return l.pipeline.folder.MakeWork() }
