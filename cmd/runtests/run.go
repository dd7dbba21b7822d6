package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/ping"
	"runtests/pkg/report"
	"runtests/pkg/runner"
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
	Jobs       int           `short:"j" placeholder:"N" env:"RUNTESTS_JOBS" help:"Run up to N steps at a time (default: the suite's jobs, or 1)."`
	Lines      int           `short:"n" placeholder:"N" env:"RUNTESTS_LINES" help:"Show the last N lines of a failed step's log (default: the suite's lines, or 40)."`
	Timeout    time.Duration `placeholder:"DURATION" env:"RUNTESTS_TIMEOUT" help:"Stop a test after this time, as in 90s or 2h (default: the suite's timeout, or 1h)."`
	Mail       bool          `env:"RUNTESTS_MAIL" help:"Mail the report, and print nothing unless something is wrong."`
	Report     string        `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"The format of the report on stdout: ${enum}."`
	Wait       time.Duration `placeholder:"DURATION" env:"RUNTESTS_WAIT" help:"Wait up to this time for another run of the suite to end (default: do not wait)."`
	DryRun     bool          `help:"Print the steps and their commands; run nothing."`

	monitor *ping.Monitor // is told of the run; nil: nobody is
}

// Run implements the command.
func (c *runCommand) Run(ctx context.Context, w *world) error {
	s, steps, err := c.plan(w)
	if err != nil {
		return err
	}
	if c.DryRun {
		return dryRun(w, steps, c.Keep)
	}
	if err := c.watch(s); err != nil {
		return err
	}
	err = c.onEngine(ctx, w, s, steps)
	if nothingRun(err) && ctx.Err() == nil {
		c.ping(ctx, w, ping.Failure, err.Error())
	}
	return err
}

// onEngine connects to the engine, takes the suite's lock, and carries out the run.
func (c *runCommand) onEngine(ctx context.Context, w *world, s *suite.Suite, steps []suite.Step) error {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	if c.Keep != "" {
		if err := runner.CheckKeep(ctx, e, c.Keep); err != nil {
			return err
		}
	}
	started := time.Now()
	if s.File != "" {
		lock, err := c.hold(ctx, w, s)
		if err != nil {
			return err
		}
		defer lock.Close()
		started = lock.Since()
	}
	return c.carryOut(ctx, w, s, steps, e, started)
}

// plan reads the suite, chooses its steps, and checks what the command line asks of them.
func (c *runCommand) plan(w *world) (*suite.Suite, []suite.Step, error) {
	if c.Jobs < 0 || c.Lines < 0 || c.Timeout < 0 || c.Wait < 0 {
		return nil, nil, errors.New("--jobs, --lines, --timeout and --wait take no negative value")
	}
	overrides := suite.Overrides{Image: c.Image, Timeout: c.Timeout, Volumes: c.Volume, MacAddress: c.MacAddress}
	s, steps, err := w.load(overrides, c.Targets)
	if err != nil {
		return nil, nil, err
	}
	if c.Jobs > 0 {
		s.Jobs = c.Jobs
	}
	if c.Lines > 0 {
		s.Lines = c.Lines
	}
	if c.Keep != "" && len(steps) != 1 {
		return nil, nil, hinted("name one test, and with --image one image", "--keep (or the environment variable CID) keeps the container of one test, and this would run %d", len(steps))
	}
	if c.Mail && s.Mail == nil {
		return nil, nil, errors.New("--mail needs a mail section in the suite file")
	}
	return s, steps, nil
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
	w.mask = report.NewMask(s.Secrets)
	w.log.SetFormatter(voice{w.mask})
	for _, warning := range s.Warnings {
		w.log.Warn(warning)
	}
	return s, nil
}

// dryRun prints what would be run.
func dryRun(w *world, steps []suite.Step, keep string) error {
	planner := runner.Runner{CLI: "docker", Keep: keep, Mask: w.mask}
	for _, step := range planner.Plan(nil, steps) {
		fmt.Fprintf(w.stdout, "%s\n  $ %s\n", report.Clean(step.Name), cleanLines(step.Command))
	}
	return nil
}

// carryOut runs the steps, tells of them, and returns the exit status as an error.
func (c *runCommand) carryOut(ctx context.Context, w *world, s *suite.Suite, steps []suite.Step, e *engine.Engine, started time.Time) error {
	folder, err := report.Create(s.Logs, started)
	if err != nil {
		return err
	}
	defer folder.Close()
	c.ping(ctx, w, ping.Start, s.Name)

	info := e.Info()
	facts := &report.Run{
		Version: report.Version,
		ID:      folder.ID,
		Suite:   s.Name,
		File:    s.File,
		Folder:  folder.Path,
		Host:    hostname(),
		Program: "runtests " + version,
		Engine:  report.Engine{Name: info.Name, Version: info.Version, API: info.API, Host: info.Host},
		Started: started,
		Mailed:  report.LastMailed(s.Logs, folder.ID),
		Lines:   s.Lines,
		Notes:   append(w.cutOff(s, folder.ID), w.sweep(ctx, e)...),
	}
	shown := w.newDisplay(len(steps), c.Mail)
	r := &runner.Runner{
		Engine:   e,
		Folder:   folder,
		Observer: shown,
		Now:      time.Now,
		Machine:  machine(),
		CLI:      cliOf(info),
		Remote:   !info.Local,
		Jobs:     s.Jobs,
		Mask:     w.mask,
		MaxLog:   s.MaxLog,
		Keep:     c.Keep,
	}
	runCtx, stop := limited(ctx, s.RunTimeout)
	announced := context.AfterFunc(runCtx, func() { c.announce(w, context.Cause(runCtx)) })
	err = r.Run(runCtx, facts, nil, steps)
	announced()
	shown.end()
	stop()
	return c.conclude(ctx, w, s, folder, facts, err)
}

// announce says why the run stops before its end.
func (c *runCommand) announce(w *world, cause error) {
	var over *runner.RunTimeoutError
	switch {
	case !errors.As(cause, &over):
		w.log.Errorf("%v: stopping what runs; once more to leave at once", cause)
	case c.Mail:
		w.log.Debugf("%v: stopping what runs", cause)
	default:
		w.log.Warnf("%v: stopping what runs", cause)
	}
}

// limited returns a context that ends, as one that was interrupted does, after
// bound; 0 is none.
func limited(parent context.Context, bound time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	if bound <= 0 {
		return ctx, func() { cancel(nil) }
	}
	timer := time.AfterFunc(bound, func() { cancel(&runner.RunTimeoutError{Limit: bound}) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}
