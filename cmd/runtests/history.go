package main

import (
	"runtests/pkg/history"
	"runtests/pkg/render"
)

type historyCommand struct {
	Step string `arg:"" optional:"" name:"step" help:"Steps, tests, or globs over their names."`
}

// Run implements the command.
func (c *historyCommand) Run(w *world) error {
	s, err := w.loadSuiteOrRuns()
	if err != nil {
		return err
	}
	runs, err := history.ReadHistory(s.Logs, "")
	if err != nil {
		return err
	}
	for _, fault := range runs.Errors {
		w.log.WithError(fault).Warn(fault)
	}
	return render.WriteHistory(w.stdout, s.Logs, runs, c.Step)
}
