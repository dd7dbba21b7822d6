package main

import (
	"context"
	"slices"

	"runtests/pkg/history"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

type historyCommand struct {
	Step string `arg:"" optional:"" name:"step" help:"A step, a test, or a glob over their names (default: all that the suite had when it was last run)."`
}

// Run implements the command.
func (c *historyCommand) Run(w *world) error {
	logs, err := w.logsFolder()
	if err != nil {
		return err
	}
	history, err := history.ReadHistory(logs, "")
	if err != nil {
		return err
	}
	for _, fault := range history.Faults {
		w.log.WithError(fault).Warn(fault)
	}
	return render.WriteHistory(w.stdout, logs, history, c.Step)
}

// historyBefore is the history of the runs before the one of that ID. Without one the
// run goes on: its report says less.
func (w *world) historyBefore(logs, id string) *history.History {
	history, err := history.ReadHistory(logs, id)
	if err != nil {
		w.log.Warn(err)
		return nil
	}
	for _, fault := range history.Faults {
		w.log.Debug(fault)
	}
	return history
}

// writePage writes the page of the runs anew, after the end of run.
func (w *world) writePage(logs string, run *report.Run) {
	history, err := history.ReadHistory(logs, "")
	if err == nil {
		err = render.WritePage(logs, history, run)
	}
	if err != nil {
		w.log.WithError(err).Warn(err)
	}
}

// failed returns what says of a step's name whether it did not pass when it was last run.
func (w *world) failed(s *suite.Suite) (func(name string) bool, error) {
	history, err := history.ReadHistory(s.Logs, "")
	if err != nil {
		return nil, err
	}
	if len(history.Runs) == 0 {
		return nil, hinted("start with runtests run", "--failed runs what did not pass last time, and nothing was run yet")
	}
	return history.NotPassed, nil
}

// lookAtCommits asks git at which commits the steps' directories are, while the run begins.
// The function it returns waits for the answer. What git cannot say is not known, and
// stops no run.
func (w *world) lookAtCommits(ctx context.Context, steps []suite.Step) func() map[string]worktree.State {
	var dirs []string
	for _, step := range steps {
		dirs = append(dirs, step.Dir)
	}
	slices.Sort(dirs)
	found := make(chan map[string]worktree.State, 1)
	go func() {
		states, err := worktree.States(ctx, slices.Compact(dirs))
		if err != nil {
			w.log.Debug(err)
		}
		found <- states
	}()
	return func() map[string]worktree.State { return <-found }
}
