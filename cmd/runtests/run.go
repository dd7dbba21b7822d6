package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"runtests/pkg/plain"
	"runtests/pkg/suite"
)

// defaultSuiteFile is read when no suite file is named, if it is there.
const defaultSuiteFile = "runtests.yaml"

// defaultLogs is where runs without a suite file keep their folders.
const defaultLogs = "logs"

type runCommand struct {
	Targets []string `arg:"" optional:"" name:"target" help:"A test's name, a glob over names, or a directory holding test.sh (default: all tests)."`

	Image      string        `placeholder:"IMAGE" env:"RUNTESTS_IMAGE" help:"The image to run the tests on, in place of the suite's."`
	Keep       string        `placeholder:"CID" env:"CID" help:"Keep the container of the one test: as CID if it passes, as CID-failed if not."`
	Volume     []string      `placeholder:"HOST:CONTAINER[:ro]" sep:"none" env:"RUNTESTS_VOLUME" help:"Mount a directory or a volume as well; can be repeated."`
	MacAddress string        `placeholder:"MAC" env:"RUNTESTS_MAC_ADDRESS" help:"The MAC address of the containers."`
	Timeout    time.Duration `placeholder:"DURATION" env:"RUNTESTS_TIMEOUT" help:"Stop a test after this time, as in 90s or 2h (default: the suite's timeout, or 1h)."`
	Failed     bool          `help:"Run only the steps that did not pass when they were last run."`
	Diagnose   *bool         `negatable:"" env:"RUNTESTS_DIAGNOSE" help:"Look for the cause of what fails newly, by running it again in several ways (default: the suite's diagnose, in runs of the whole suite that keep no container)."`
	UseStale   bool          `env:"RUNTESTS_USE_STALE" help:"Run the tests of an image whose build failed on the image of before."`
	flags
}

// Run implements the command.
func (c *runCommand) Run(ctx context.Context, w *world) error {
	r, err := c.plan(w)
	if err != nil {
		return err
	}
	if c.Failed && len(r.steps) == 0 && len(r.wanted) == 0 {
		w.log.Info("nothing to run: every step passed when it was last run")
		return nil
	}
	return r.carryOut(ctx, w)
}

// plan reads the suite, chooses its steps and the images that they stand on, and checks
// what the command line asks of them.
func (c *runCommand) plan(w *world) (*execution, error) {
	if c.Timeout < 0 {
		return nil, errors.New("--timeout takes no negative value")
	}
	overrides := suite.Overrides{Image: c.Image, Timeout: c.Timeout, Volumes: c.Volume, MacAddress: c.MacAddress}
	s, steps, err := w.load(overrides, c.Targets)
	if err != nil {
		return nil, err
	}
	var failed func(name string) bool
	if c.Failed {
		if failed, err = w.failed(s); err != nil {
			return nil, err
		}
		steps = slices.DeleteFunc(slices.Clone(steps), func(step suite.Step) bool { return !failed(step.Name) })
	}
	if c.Keep != "" && len(steps) != 1 {
		return nil, hinted("name one test, and with --image one image", "--keep (or the environment variable CID) keeps the container of one test, and this would run %d", len(steps))
	}
	part := len(c.Targets) > 0 || c.Image != "" || c.Failed
	r := &execution{flags: c.flags, suite: s, steps: steps, wanted: builtFor(s, steps), part: part, keep: c.Keep, useStale: c.UseStale}
	r.diagnoses = s.Diagnose && !part && c.Keep == ""
	if c.Diagnose != nil {
		r.diagnoses = *c.Diagnose
	}
	switch {
	case !part:
		r.wanted = s.Built()
	case c.Failed && len(c.Targets) == 0: // an image that no test needs may have failed too
		r.wanted = slices.DeleteFunc(s.Built(), func(name string) bool { return !slices.Contains(r.wanted, name) && !failed(name) })
	}
	return r, r.check()
}

// builtFor are the names of the suite's built images that steps run on.
func builtFor(s *suite.Suite, steps []suite.Step) []string {
	return slices.DeleteFunc(s.Built(), func(name string) bool {
		return !slices.ContainsFunc(steps, func(step suite.Step) bool { return step.Image == name })
	})
}

// load reads the suite file, or makes a suite of the directories when there is
// none, and selects the targets.
func (w *world) load(o suite.Overrides, targets []string) (*suite.Suite, []suite.Step, error) {
	s, err := w.loadSuite(o)
	if errors.Is(err, fs.ErrNotExist) && w.suiteFile == "" {
		if o.Image == "" || len(targets) == 0 {
			return nil, nil, hinted("write one, name it with --file, or run one directory on its own: runtests run DIR --image IMAGE",
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
		return s, nil, nil // its images are all there is to it
	}
	steps, err := s.Select(targets, workingDir())
	return s, steps, err
}

// loadSuite reads the suite file. The error is fs.ErrNotExist when there is none.
func (w *world) loadSuite(o suite.Overrides) (*suite.Suite, error) {
	file := w.suiteFile
	if file == "" {
		file = defaultSuiteFile
	}
	s, err := suite.Load(file, suiteEnv(), o)
	if err != nil {
		return nil, err
	}
	w.mask = plain.NewMask(s.Secrets)
	w.log.SetFormatter(voice{w.mask})
	for _, warning := range s.Warnings {
		w.log.Warn(warning)
	}
	return s, nil
}
