package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/deploy"
	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/images"
	"runtests/pkg/ping"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

// flags are those that run and build have in common.
type flags struct {
	Jobs    int           `short:"j" placeholder:"N" env:"RUNTESTS_JOBS" help:"Run up to N steps at a time (default: the suite's jobs, or 1)."`
	Lines   int           `short:"n" placeholder:"N" env:"RUNTESTS_LINES" help:"Show the last N lines of a failed step's log (default: the suite's lines, or 40)."`
	Rebuild bool          `env:"RUNTESTS_REBUILD" help:"Build the images anew, without cache, also those that are current."`
	Mail    bool          `env:"RUNTESTS_MAIL" help:"Mail the report, and print nothing unless something is wrong."`
	Report  string        `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"The format of the report on stdout: ${enum}."`
	Wait    time.Duration `placeholder:"DURATION" env:"RUNTESTS_WAIT" help:"Wait up to this time for another run of the suite to end (default: do not wait)."`
	DryRun  bool          `help:"Print the steps and their commands; run nothing."`
}

// execution is a run as the command line asks for it.
type execution struct {
	flags
	suite    *suite.Suite
	wanted   []string // the names of the images to bring up to date, with what they stand on
	steps    []suite.Step
	part     bool // of the suite: what comes of it says nothing of the whole
	keep     string
	useStale bool
	// diagnoses says that the causes of new failures are looked for.
	diagnoses bool

	deploys        []suite.Deployment // asked for on the command line
	last, rollback bool               // how
	sites          map[string]*deploy.Site

	ignored []*runner.Unsupported // settings of the steps that the engine does not honour

	history *history.History // of the runs before
	chain   *images.Chain    // of the wanted images
	monitor *ping.Monitor    // is told of the run; nil: nobody is
}

// check checks the flags, and applies them to the suite.
func (r *execution) check() error {
	if r.Jobs < 0 || r.Lines < 0 || r.Wait < 0 {
		return errors.New("--jobs, --lines and --wait take no negative value")
	}
	if r.Jobs > 0 {
		r.suite.Jobs = r.Jobs
	}
	if r.Lines > 0 {
		r.suite.Lines = r.Lines
	}
	if r.Mail && r.suite.Mail == nil {
		return errors.New("--mail needs a mail section in the suite file")
	}
	return nil
}

// carryOut carries out the run, or with --dry-run says what it would be.
func (r *execution) carryOut(ctx context.Context, w *world) error {
	if r.DryRun {
		return r.print(w)
	}
	if err := r.watch(); err != nil {
		return err
	}
	err := r.onEngine(ctx, w)
	if nothingRun(err) && ctx.Err() == nil {
		r.ping(ctx, w, ping.Failure, err.Error())
	}
	return err
}

// print prints what would be run.
func (r *execution) print(w *world) (err error) {
	if r.chain, err = images.Plan(r.suite.Images, r.wanted, nil); err != nil {
		return err
	}
	const cli = "docker"
	var builds []runner.Build
	for _, image := range r.chain.Images {
		builds = append(builds, runner.Build{Name: image.Name, Command: image.CommandLine(cli, r.Rebuild)})
	}
	planner := runner.Runner{CLI: cli, Keep: r.keep, Mask: w.mask}
	for _, step := range planner.Plan(builds, r.steps) {
		fmt.Fprintf(w.stdout, "%s\n  $ %s\n", step.Title(), cleanLines(step.Command))
	}
	return nil
}

// onEngine connects to the engine, takes the suite's lock, and runs.
func (r *execution) onEngine(ctx context.Context, w *world) error {
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	if r.chain, err = images.Plan(r.suite.Images, r.wanted, has(ctx, e)); err != nil {
		return err
	}
	if r.keep != "" {
		if err := runner.CheckKeep(ctx, e, r.keep); err != nil {
			return err
		}
	}
	if r.ignored, err = runner.CheckSteps(ctx, e, r.steps); err != nil {
		return err
	}
	defer r.closeSites()
	if err := r.openSites(ctx, e); err != nil {
		return err
	}
	started := time.Now()
	if r.suite.File != "" {
		lock, err := r.hold(ctx, w)
		if err != nil {
			return err
		}
		defer lock.Close()
		started = lock.Since()
	}
	return r.run(ctx, w, e, started)
}

// has says whether the engine has an image. One that it could not say of counts as there:
// what comes of it the build will tell.
func has(ctx context.Context, e *engine.Engine) func(string) bool {
	return func(reference string) bool {
		_, err := e.Image(ctx, reference)
		return !errors.Is(err, container.ErrNoImage)
	}
}

// run runs the steps, tells of them, and returns the exit status as an error.
func (r *execution) run(ctx context.Context, w *world, e *engine.Engine, started time.Time) error {
	folder, err := history.Create(r.suite.Logs, started)
	if err != nil {
		return err
	}
	defer folder.Close()
	diskBefore, commits := lookAtDisk(ctx, w, e), w.lookAtCommits(ctx, r.steps)
	r.ping(ctx, w, ping.Start, r.suite.Name)
	r.history = w.historyBefore(r.suite.Logs, folder.ID)

	info := e.Info()
	facts := &report.Run{
		Version: report.Version,
		ID:      folder.ID,
		Suite:   r.suite.Name,
		File:    r.suite.File,
		Folder:  folder.Path,
		Host:    hostname(),
		Program: "runtests " + version,
		Engine:  report.Engine{Name: info.Name, Version: info.Version, API: info.API, Host: info.Host},
		Started: started,
		Partial: r.part || r.suite.File == "",
		Mailed:  history.LastMailed(r.suite.Logs, folder.ID),
		Lines:   r.suite.Lines,
		Notes:   slices.Concat(w.cutOff(r.suite, folder.ID), w.sweep(ctx, e), notesOn(r.ignored)),
	}
	shown := w.newDisplay(len(r.chain.Images), len(r.steps), r.Mail)
	carrier := &runner.Runner{
		Executor: e,
		Keeper:   e,
		Images:   e,
		Folder:   folder,
		Observer: shown,
		Now:      time.Now,
		Machine:  machine(),
		CLI:      cliOf(info),
		Remote:   !info.Local,
		Jobs:     r.suite.Jobs,
		Mask:     w.mask,
		MaxLog:   r.suite.MaxLog,
		History:  r.history,
		Commits:  commits(),
		UseStale: r.useStale,
		Keep:     r.keep,

		KeepPassed: r.keptAs,
	}
	runCtx, stop := limited(ctx, r.suite.RunTimeout)
	announced := context.AfterFunc(runCtx, func() { r.announce(w, context.Cause(runCtx)) })
	err = carrier.Run(runCtx, facts, r.builds(e, facts), r.steps)
	err = errors.Join(err, r.diagnose(runCtx, w, e, carrier, facts))
	announced()
	shown.end()
	r.promote(runCtx, w, e, folder, facts)
	stop()
	r.tidy(ctx, w, e, facts, diskBefore())
	return r.conclude(ctx, w, folder, facts, err)
}

// notesOn returns what the reader of the report must know of settings that are ignored.
func notesOn(ignored []*runner.Unsupported) (notes []string) {
	for _, u := range ignored {
		notes = append(notes, fmt.Sprintf("the engine ignores %v; %s", u, u.Hint()))
	}
	return notes
}

// announce says why the run stops before its end.
func (r *execution) announce(w *world, cause error) {
	var over *runner.RunTimeoutError
	switch {
	case !errors.As(cause, &over):
		w.log.Errorf("%v: stopping what runs; once more to leave at once", cause)
	case r.Mail:
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
