package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/pipeline"
	"runtests/pkg/suite"
)

type runCommand struct {
	Targets []string `arg:"" optional:"" name:"target" help:"Tests, globs over their names, directories (default: all)."`

	Image      string        `placeholder:"IMAGE" env:"RUNTESTS_IMAGE" help:"Run the tests on this image instead."`
	Keep       string        `placeholder:"CID" env:"CID" help:"Keep the test's container: as CID or CID-failed."`
	Volume     []string      `placeholder:"VOLUME" sep:"none" env:"RUNTESTS_VOLUME" help:"Mount SOURCE:TARGET as well; can be repeated."`
	MacAddress string        `placeholder:"MAC" env:"RUNTESTS_MAC_ADDRESS" help:"Give the containers this MAC address."`
	Timeout    time.Duration `placeholder:"D" env:"RUNTESTS_TIMEOUT" help:"Stop a test after this time: 90s, 2h."`
	Failed     bool          `help:"Run only what did not pass in its last run."`
	Diagnose   *bool         `negatable:"" env:"RUNTESTS_DIAGNOSE" help:"Diagnose new failures by re-running them."`
	UseStale   bool          `env:"RUNTESTS_USE_STALE" help:"Test on the previous image if a build failed."`
	flags
}

// Run implements the command.
func (c *runCommand) Run(ctx context.Context, w *world) error {
	plan, err := c.plan(w)
	if err != nil {
		return err
	}
	if c.Failed && len(plan.Steps) == 0 && len(plan.Images) == 0 {
		w.log.Info("nothing to run: every step passed in its last run")
		return nil
	}
	return c.carryOut(ctx, w, plan)
}

// plan reads the suite, selects its steps and their images, and checks what the command line asks
// of them.
func (c *runCommand) plan(w *world) (plan pipeline.Plan, err error) {
	if c.Timeout < 0 {
		return plan, errors.New("--timeout must not be negative")
	}
	overrides := suite.Overrides{Image: c.Image, Timeout: c.Timeout, Volumes: c.Volume, MacAddress: c.MacAddress}
	s, steps, err := w.load(overrides, c.Targets)
	if err != nil {
		return plan, err
	}
	notPassed := func(string) bool { return true }
	if c.Failed {
		if notPassed, err = notPassedIn(s); err != nil {
			return plan, err
		}
		steps = slices.DeleteFunc(slices.Clone(steps), func(step suite.Step) bool { return !notPassed(step.Name) })
	}
	if c.Keep != "" && len(steps) != 1 {
		return plan, hint.Errorf("name one test, and with --image one image", "--keep (or the environment variable CID) keeps the container of one test, and this would run %d", len(steps))
	}
	plan = pipeline.Plan{
		Suite: s, Images: builtFor(s, steps), Steps: steps, Keep: c.Keep, UseStale: c.UseStale,
		Partial: len(c.Targets) > 0 || c.Image != "" || c.Failed,
	}
	plan.Diagnose = s.Diagnose && !plan.Partial && c.Keep == ""
	if c.Diagnose != nil {
		plan.Diagnose = *c.Diagnose
	}
	switch {
	case !plan.Partial:
		plan.Images = s.Built()
	case c.Failed && len(c.Targets) == 0: // an image that no test needs may have failed too
		plan.Images = slices.DeleteFunc(s.Built(), func(name string) bool { return !slices.Contains(plan.Images, name) && !notPassed(name) })
	}
	return plan, c.apply(&plan)
}

// notPassedIn returns a function that reports whether a step did not pass in its last run.
func notPassedIn(s *suite.Suite) (func(name string) bool, error) {
	runs, err := history.ReadHistory(s.Logs, "")
	if err != nil {
		return nil, err
	}
	if len(runs.Runs) == 0 {
		return nil, hint.Errorf("start with runtests run", "--failed runs what did not pass last time, and nothing was run yet")
	}
	return runs.NotPassed, nil
}

// builtFor returns the names of the suite's built images that steps run on.
func builtFor(s *suite.Suite, steps []suite.Step) []string {
	return slices.DeleteFunc(s.Built(), func(name string) bool {
		return !slices.ContainsFunc(steps, func(step suite.Step) bool { return step.Image == name })
	})
}
