// Package runner runs the steps of a suite: it brings the images up to date, runs each test in a
// fresh container as soon as its own image is ready, several at a time if they share nothing that
// one of them changes, and records the results. It goes on after a failure, and removes every
// container that it was not asked to keep.
//
// A test that does not pass is a Result, not an error: an error means that the run itself could
// not go on.
package runner

import (
	"context"
	"fmt"
	"time"

	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// Observer follows a run while it goes on. Its methods are called from several goroutines, and
// must not wait for a person or a terminal.
type Observer interface {
	// Started is called when the step of that index in the run begins. Its output can be followed
	// in log until Finished.
	Started(index int, result report.Result, log *Log)
	// Finished is called when the step has ended and its record is on disk.
	Finished(index int, result report.Result)
	// Trying is called when a failed step is run once more to diagnose it. how describes the
	// trial in words; its output can be followed in log.
	Trying(index int, result report.Result, how string, log *Log)
	// Diagnosed is called when the step has its verdict and its record is on disk.
	Diagnosed(index int, result report.Result)
}

// Runner runs the steps of one run.
type Runner struct {
	config  Config
	record  record
	images  presentImages
	outages outages
	needs   [][]int // for each step, the indices of the builds that it needs
}

// New returns the runner of the run in c. It panics if a required field of c is missing.
func New(c Config) *Runner {
	c = c.withDefaults()
	r := &Runner{config: c, record: record{folder: c.Folder, run: c.Run}}
	r.record.saver.save = r.record.save
	return r
}

// A RunTimeoutError is the cause of the context of a run that took longer than Limit.
type RunTimeoutError struct{ Limit time.Duration }

func (e *RunTimeoutError) Error() string {
	return fmt.Sprintf("the run did not end within its run_timeout of %s", report.Duration(e.Limit))
}

// Run carries out builds and steps, and records them in that order. Builds must be ordered parents
// first. Steps that need a failed image are blocked. Run returns when all have ended. If ctx ends
// first, running steps are stopped (TERM, the step's grace, KILL), and steps that have not started
// are marked interrupted. If the cause of ctx is a RunTimeoutError, the stopped steps are timeouts.
//
// If the engine goes away, the steps that were running are broken. The others wait until it is
// back (Config.Patience).
//
// An error means that the record on disk is not up to date.
func (r *Runner) Run(ctx context.Context, builds []Build, steps []suite.Step) error {
	r.needs = indexNeeds(builds, steps)
	r.config.Run.Steps = r.config.Plan(builds, steps)
	var writable []string
	for _, step := range steps {
		writable = append(writable, step.Writable()...)
	}
	r.config.Regions = r.config.Regions.With(writable) // some may not be in the suite
	used := append(make([][]resource, len(builds)), resourcesOf(steps, r.config.Regions)...)
	schedule(ctx, r.config.Jobs, used, r.needs, func(i int) {
		if i < len(builds) {
			r.finish(i, r.build(ctx, i, builds[i]))
		} else {
			r.finish(i, r.step(ctx, i, steps[i-len(builds)]))
		}
	})
	_ = r.awaitEngine(ctx) // removes what the last step left; a failure is in the notes
	r.record.interruptRest(context.Cause(ctx))
	return r.record.saver.request().wait()
}

// finish records the end of a step on disk, and then notifies the observer.
func (r *Runner) finish(index int, result report.Result) {
	result.Mask(r.config.Mask)
	r.config.History.Judge(r.config.Run, &result)
	_ = r.record.set(index, result).wait() // Run returns the error of the last save
	r.config.Observer.Finished(index, result)
}
