package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"runtests/pkg/engine"
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
	DryRun     bool          `help:"Print the steps and their commands; run nothing."`
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
	if s.File != "" {
		lock, err := report.LockSuite(s.Logs, report.Holder{PID: os.Getpid(), Since: time.Now(), Command: strings.Join(os.Args, " ")})
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	return c.carryOut(ctx, w, s, steps, e)
}

// plan reads the suite, chooses its steps, and checks what the command line asks of them.
func (c *runCommand) plan(w *world) (*suite.Suite, []suite.Step, error) {
	if c.Jobs < 0 || c.Lines < 0 || c.Timeout < 0 {
		return nil, nil, errors.New("--jobs, --lines and --timeout take no negative value")
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
	for _, warning := range s.Warnings {
		w.log.Warn(warning)
	}
	return s, nil
}

// dryRun prints what would be run.
func dryRun(w *world, steps []suite.Step, keep string) error {
	planner := runner.Runner{CLI: "docker", Keep: keep}
	for _, step := range planner.Plan(steps) {
		fmt.Fprintf(w.stdout, "%s\n  $ %s\n", step.Name, step.Command)
	}
	return nil
}

// sweep removes what dead runs left, and returns what the reader of the report must know of it.
func (w *world) sweep(ctx context.Context, e *engine.Engine) (notes []string) {
	removed, errs := runner.Sweep(ctx, e, machine(), report.Alive)
	for _, c := range removed {
		notes = append(notes, fmt.Sprintf("removed the container %s of the run %s, which was cut off", c.Name, c.Labels[runner.LabelRun]))
	}
	for _, err := range errs {
		notes = append(notes, err.Error())
	}
	return notes
}

// carryOut runs the steps, tells of them, and returns the exit status as an error.
func (c *runCommand) carryOut(ctx context.Context, w *world, s *suite.Suite, steps []suite.Step, e *engine.Engine) error {
	notes := w.sweep(ctx, e)
	started := time.Now()
	folder, err := report.Create(s.Logs, started)
	if err != nil {
		return err
	}
	defer folder.Close()

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
		Lines:   s.Lines,
		Notes:   notes,
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
		Keep:     c.Keep,
	}
	announced := context.AfterFunc(ctx, func() { w.log.Errorf("%v: stopping what runs; once more to leave at once", context.Cause(ctx)) })
	err = r.Run(ctx, facts, steps)
	announced()
	shown.end()
	return c.conclude(ctx, w, s, folder, facts, err)
}

// conclude tells of the run: on disk, then by mail or on stdout.
func (c *runCommand) conclude(ctx context.Context, w *world, s *suite.Suite, folder *report.Folder, run *report.Run, saved error) error {
	if saved != nil {
		w.say(saved)
	}
	run.Finished = time.Now()
	var interrupted *signalError
	if errors.As(context.Cause(ctx), &interrupted) {
		run.Signal = interrupted.name()
	}
	if err := errors.Join(folder.Save(run), folder.WriteReports(run)); err != nil {
		w.say(fmt.Errorf("save the run: %w", err))
	}
	delivered := c.tell(ctx, w, s, run)
	if _, err := report.Prune(s.Logs, s.KeepRuns); err != nil {
		w.log.Warnf("remove old runs: %v", err)
	}
	_, failures := run.Counts()
	switch {
	case interrupted != nil:
		return exitStatus(interrupted.status())
	case failures > 0:
		return exitStatus(exitNotPassed)
	case !delivered:
		return exitStatus(exitNotDelivered)
	}
	return nil
}

// tell delivers the report: by mail with --mail, on stdout otherwise, and there
// too when the mail was not accepted, so that cron delivers it.
func (c *runCommand) tell(ctx context.Context, w *world, s *suite.Suite, run *report.Run) (delivered bool) {
	mailed := c.Mail
	if mailed {
		err := w.mail(ctx, s, run)
		if err == nil {
			return true
		}
		w.say(fmt.Errorf("the report was not mailed: %w", err))
	}
	if err := report.Render(w.stdout, c.Report, run); err != nil {
		w.say(fmt.Errorf("write the report to stdout: %w", err))
		return false
	}
	return !mailed
}

// mail mails the report when the suite's policy says so. An interrupted run is not
// held up by a server that is away: it makes one attempt.
func (w *world) mail(ctx context.Context, s *suite.Suite, run *report.Run) error {
	m, err := newMailer(s)
	if err != nil {
		return err
	}
	if !due(s, run) {
		w.flushSpool(ctx, m)
		return nil
	}
	retry := s.Mail.RetryFor
	if ctx.Err() != nil {
		retry = 0
		ctx = context.WithoutCancel(ctx)
	}
	return w.deliver(ctx, m, run, retry)
}

// due says whether the suite's policy wants this run mailed.
func due(s *suite.Suite, run *report.Run) bool {
	switch _, failures := run.Counts(); s.Mail.Send {
	case suite.SendFailure:
		return failures > 0
	case suite.SendChange:
		before, err := report.Before(s.Logs, run.ID)
		return err != nil || report.Changed(before, run)
	}
	return true
}
