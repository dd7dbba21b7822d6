// Package pipeline carries out one run of a suite, from its lock to its mail: it reaches the
// engine, brings the images up to date, runs the tests, diagnoses new failures, promotes what
// passed, tidies up, and concludes. Pipeline.Run reads from top to bottom like docs/run.md.
//
// It knows nothing of arguments, terminals or exit statuses: what a person must see goes through
// a Console and a Log.
package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/deploy"
	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/images"
	"runtests/pkg/ping"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
	"runtests/pkg/transfer"
	"runtests/pkg/worktree"
)

// A Plan is what a run is to do.
type Plan struct {
	Suite  *suite.Suite
	Images []string // names of the images to bring up to date; their parents come with them
	Steps  []suite.Step

	Partial  bool          // the run covers a part of the suite, and says nothing about the whole
	Rebuild  bool          // build the images without cache, also those that are current
	UseStale bool          // run the tests of an image whose build failed on its previous image
	Keep     string        // keep the container of the only step under this name; empty: remove it
	Diagnose bool          // diagnose new failures
	Mail     bool          // mail the report
	Wait     time.Duration // how long to wait for another run of the suite; 0: not at all

	Deployments []suite.Deployment // to promote after the tests; the automatic ones need not be named
	Last        bool               // promote the containers kept last, in place of running their tests
	Rollback    bool               // go back to the previous version, in place of promoting a container
}

// A Console shows the course of a run to whoever launched it. Its methods must not wait for a
// person.
type Console interface {
	// Waiting is called once if the run waits for another run of the suite.
	Waiting(held *history.HeldError)
	// Observe returns what shows the images and tests, before the first of them.
	Observe(images, tests int) Observer
	// Stopping is called when the run is stopped before its end.
	Stopping(cause error)
	// Deploying reports the next action of a deployment.
	Deploying(deployment, action string)
	// Transferring reports how much of a version has been sent to production.
	Transferring(deployment string, sent transfer.Progress)
	// Deployed reports how a deployment ended.
	Deployed(result report.Result)
	// Print prints the report of a run.
	Print(run *report.Run) error
}

// An Observer shows steps while they run. Nothing is observed after End.
type Observer interface {
	runner.Observer
	End()
}

// A Log takes what is not part of the report: faults that a person must know, warnings, and what
// only helps to find out what happened.
type Log interface {
	Error(err error)
	Warn(err error)
	Debug(err error)
}

// A Pipeline carries out a Plan.
type Pipeline struct {
	Plan
	Program string // name and version of this program, for the record
	Command string // the command line of this process, for those who find the suite locked
	Mask    plain.Mask
	Console Console
	Log     Log

	engine  *engine.Engine
	chain   []images.Image            // of the images to bring up to date
	sites   map[string]*deploy.Site   // of the deployments that were named
	sources map[string]deploy.Sources // what the deployments' files held before the tests ran
	ignored []*runner.Unsupported     // settings of steps that the engine ignores
	monitor *ping.Monitor             // nil: nobody is notified
	history *history.History          // of earlier runs; nil: it cannot be read
	folder  *history.Folder
}

// A Conclusion is how a run ended.
type Conclusion struct {
	Run       *report.Run
	Delivered bool // the report was printed or the mail server accepted it
}

// Run carries out the plan. An error means that nothing was run: the engine cannot be reached, the
// plan cannot be carried out there, or another run of the suite goes on (*history.HeldError).
//
// When ctx ends, what runs is stopped, and the run is concluded as interrupted. Its cause may have
// a method SignalName() string; the record then names the signal.
func (p *Pipeline) Run(ctx context.Context) (*Conclusion, error) {
	if err := p.openMonitor(); err != nil {
		return nil, err
	}
	conclusion, err := p.prepareAndRun(ctx)
	var held *history.HeldError
	if err != nil && !errors.As(err, &held) && ctx.Err() == nil { // the other run notifies the monitor itself
		p.notify(ctx, ping.Failure, p.Mask.Lines(err.Error()))
	}
	return conclusion, err
}

// prepareAndRun checks all that can be checked before anything runs, locks the suite, and runs.
func (p *Pipeline) prepareAndRun(ctx context.Context) (_ *Conclusion, err error) {
	if p.engine, err = engine.Connect(ctx, engine.Options{}); err != nil {
		return nil, err
	}
	defer p.engine.Close()
	if p.chain, err = images.Plan(p.Suite.Images, p.Images, OnEngine(ctx, p.engine)); err != nil {
		return nil, err
	}
	if p.Keep != "" {
		if err := runner.CheckKeep(ctx, p.engine, MachineID(), p.Keep); err != nil {
			return nil, err
		}
	}
	if p.ignored, err = runner.CheckSteps(ctx, p.engine, p.Steps); err != nil {
		return nil, err
	}
	defer p.closeSites()
	if err := p.openSites(ctx); err != nil {
		return nil, err
	}
	launched := time.Now()
	if p.Suite.File != "" {
		lock, err := p.lock(ctx)
		if err != nil {
			return nil, err
		}
		defer lock.Close()
		launched = lock.Since()
	}
	if p.folder, err = history.Create(p.Suite.Logs, launched); err != nil {
		return nil, err
	}
	defer p.folder.Close()
	return p.run(ctx, launched), nil
}

// run runs the steps, and concludes. From here on, every fault is part of the report.
func (p *Pipeline) run(ctx context.Context, launched time.Time) *Conclusion {
	diskBefore := inBackground(func() engine.Disk { return p.disk(ctx) })
	commits := inBackground(func() commits { return p.commits(ctx) })
	p.notify(ctx, ping.Start, p.Suite.Name)
	p.history = p.readHistory()
	run := p.newRecord(ctx, launched)
	observer := p.Console.Observe(len(p.chain), len(p.Steps))
	found := commits()
	trees := found.states
	run.Notes = append(run.Notes, found.notes...)
	steps := p.newRunner(run, observer, trees)

	limited, stop := withRunTimeout(ctx, p.Suite.RunTimeout)
	stopped := context.AfterFunc(limited, func() { p.Console.Stopping(context.Cause(limited)) })
	saveErr := steps.Run(limited, p.builds(run), p.Steps)
	saveErr = errors.Join(saveErr, p.diagnose(limited, steps, run, trees))
	stopped()
	observer.End()
	p.promote(limited, run)
	stop()
	p.tidy(ctx, run, diskBefore())
	return p.conclude(ctx, run, saveErr)
}

// newRecord returns the record of the run before its first step.
func (p *Pipeline) newRecord(ctx context.Context, launched time.Time) *report.Run {
	info := p.engine.Info()
	return &report.Run{
		Version: report.Version,
		ID:      p.folder.ID,
		Suite:   p.Suite.Name,
		File:    p.Suite.File,
		Folder:  p.folder.Path,
		Host:    HostName(),
		Program: p.Program,
		Engine:  report.Engine{Name: info.Name, Version: info.Version, API: info.API, Host: info.Host},
		Started: launched,
		Partial: p.Partial || p.Suite.File == "",
		Mailed:  history.LastMailed(p.Suite.Logs, p.folder.ID),
		Lines:   p.Suite.Lines,
		Notes:   p.Mask.Strings(slices.Concat(p.cutOff(), p.sweep(ctx), p.ignoredSettings())),
	}
}

func (p *Pipeline) newRunner(run *report.Run, observer Observer, trees map[string]worktree.State) *runner.Runner {
	info := p.engine.Info()
	return runner.New(runner.Config{
		Executor: p.engine,
		Keeper:   p.engine,
		Images:   p.engine,
		Machine:  MachineID(),
		Remote:   !info.Local,
		Regions:  p.Suite.Regions(),

		Run:      run,
		Folder:   p.folder,
		Observer: observer,
		History:  p.history,
		MaxLog:   p.Suite.MaxLog,

		Jobs:       p.Suite.Jobs,
		UseStale:   p.UseStale,
		Keep:       p.Keep,
		KeepPassed: p.keepPassed,
		FormerName: deploy.FormerKeptName,

		CLI:     info.CLI(),
		Mask:    p.Mask,
		Commits: trees,
	})
}

// PlannedSteps returns the steps of the plan, images first, as they are before they run. It asks no
// engine: their commands are docker's.
func (p *Pipeline) PlannedSteps() ([]report.Result, error) {
	chain, err := images.Plan(p.Suite.Images, p.Images, nil)
	if err != nil {
		return nil, err
	}
	const cli = "docker"
	var builds []runner.Build
	for _, image := range chain {
		builds = append(builds, runner.Build{Name: image.Name, Command: image.CommandLine(cli, p.Rebuild)})
	}
	config := runner.Config{CLI: cli, Keep: p.Keep, Mask: p.Mask}
	return config.Plan(builds, p.Steps), nil
}

// OnEngine returns a function that reports whether the engine has an image. On error it assumes
// so; the build will then fail with the reason.
func OnEngine(ctx context.Context, e *engine.Engine) func(reference string) bool {
	return func(reference string) bool {
		_, err := e.Image(ctx, reference)
		return !errors.Is(err, container.ErrNoImage)
	}
}

// inBackground calls f in a goroutine, and returns a function that waits for its result.
func inBackground[T any](f func() T) (wait func() T) {
	result := make(chan T, 1)
	go func() { result <- f() }()
	return func() T { return <-result }
}

// withRunTimeout returns a context that is cancelled after limit with a runner.RunTimeoutError as
// its cause; 0 is no limit. It has no deadline: what runs ends as in an interrupted run.
func withRunTimeout(parent context.Context, limit time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	if limit <= 0 {
		return ctx, func() { cancel(nil) }
	}
	timer := time.AfterFunc(limit, func() { cancel(&runner.RunTimeoutError{Limit: limit}) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// ignoredSettings returns a sentence for each setting that the engine ignores.
func (p *Pipeline) ignoredSettings() (notes []string) {
	for _, setting := range p.ignored {
		notes = append(notes, setting.Note())
	}
	return notes
}
