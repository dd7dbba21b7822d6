package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"runtests/pkg/hint"
	"runtests/pkg/plain"
	"runtests/pkg/suite"
)

// defaultSuiteFile is read when no suite file is named, if it is there.
const defaultSuiteFile = "runtests.yaml"

// defaultLogs is where runs without a suite file keep their folders.
const defaultLogs = "logs"

// load reads the suite file, or makes a suite of the directories when there is none, and selects the
// targets.
func (w *world) load(o suite.Overrides, targets []string) (*suite.Suite, []suite.Step, error) {
	s, err := w.loadSuite(o)
	if w.noSuite(err) {
		if o.Image == "" || len(targets) == 0 {
			return nil, nil, hint.Errorf("write one, name it with --file, or run one directory on its own: runtests run DIR --image IMAGE",
				"no suite file %s in this directory", defaultSuiteFile)
		}
		s, err = suite.FromDirs(targets, suiteEnv(), o)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Steps, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if len(targets) == 0 && len(s.Steps) == 0 && len(s.Built()) > 0 {
		return s, nil, nil // a suite of images without tests
	}
	steps, err := s.Select(targets, workingDir())
	return s, steps, err
}

// loadSuite reads the suite file. The error is fs.ErrNotExist when there is none.
func (w *world) loadSuite(o suite.Overrides) (*suite.Suite, error) {
	s, err := suite.Load(cmp.Or(w.suiteFile, defaultSuiteFile), suiteEnv(), o)
	if err != nil {
		return nil, err
	}
	w.mask = plain.NewMask(s.Secrets)
	w.log.SetFormatter(formatter{w.mask})
	for _, warning := range s.Warnings {
		w.log.Warn(warning)
	}
	return s, nil
}

// noSuite reports whether err says that no suite file was named, and that the default is not there.
func (w *world) noSuite(err error) bool {
	return errors.Is(err, fs.ErrNotExist) && w.suiteFile == ""
}

// loadSuiteOrRuns reads the suite file. Without one, the suite that it returns stands for the runs
// of this directory.
func (w *world) loadSuiteOrRuns() (*suite.Suite, error) {
	s, err := w.loadSuite(suite.Overrides{})
	if w.noSuite(err) {
		return &suite.Suite{Logs: filepath.Join(workingDir(), defaultLogs), KeepRuns: 30}, nil
	}
	return s, err
}

// workingDir returns the folder where relative paths of the command line start.
func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return dir
}

// suiteEnv returns what a suite file sees of the environment.
func suiteEnv() suite.Env {
	return suite.Env{Dir: workingDir(), Lookup: os.LookupEnv, Root: os.Geteuid() == 0}
}
