package main

import (
	"errors"
	"io/fs"
	"path/filepath"

	"runtests/pkg/report"
	"runtests/pkg/suite"
)

type showCommand struct {
	ID     string `arg:"" optional:"" name:"run" help:"The run: its ID (the name of its folder), the beginning of one, or a path (default: the latest)."`
	Report string `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"The format: ${enum}."`
}

// Run implements the command.
func (c *showCommand) Run(w *world) error {
	logs, err := w.logsFolder()
	if err != nil {
		return err
	}
	run, err := report.Open(logs, c.ID)
	if err != nil {
		return err
	}
	return report.Render(w.stdout, c.Report, run)
}

// logsFolder is where the suite's runs are, or those that ran without a suite file.
func (w *world) logsFolder() (string, error) {
	s, err := w.loadSuite(suite.Overrides{})
	switch {
	case err == nil:
		return s.Logs, nil
	case errors.Is(err, fs.ErrNotExist) && w.suiteFile == "":
		return filepath.Join(workingDir(), defaultLogs), nil
	}
	return "", err
}
