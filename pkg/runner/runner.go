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
	"sync"
	"time"

	"runtests/pkg/history"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
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
	Executor Executor
	Keeper   Keeper     // nil: no container can be kept
	Images   ImageStore // of the executor; nil: the executor finds its images itself
	Folder   *history.Folder
	Observer Observer
	Now      func() time.Time
	Machine  string                    // identifies this machine among those that share the engine
	CLI      string                    // the command a person would type: docker, podman
	Remote   bool                      // the engine is on another machine, and test directories may exist only there
	Jobs     int                       // steps at a time, at least 1
	Keep     string                    // keep the container of the only step under this name; empty: remove it
	Mask     plain.Mask                // removes the suite's secrets from the results
	MaxLog   int64                     // limit of a log on disk in bytes, at least 64 KiB; 0: none
	History  *history.History          // of earlier runs, with which results are compared; nil: none
	Commits  map[string]worktree.State // of those test directories that are in a git work tree
	UseStale bool                      // run the tests of an image whose build failed on its previous image
	// KeepPassed returns the name under which to keep the container of a step if it passes;
	// empty: remove it. nil removes all.
	KeepPassed func(step suite.Step) string
	// Patience is how long to wait for an engine that went away. After that, no more steps are
	// started. Default: 2 minutes.
	Patience time.Duration

	images  presentImages
	outages outages
	mu      sync.Mutex // guards run
	run     *report.Run
	needs   [][]int // for each step, the indices of the builds that it needs
	saver   saver
}

// A RunTimeoutError is the cause of the context of a run that took longer than Limit.
type RunTimeoutError struct{ Limit time.Duration }

func (e *RunTimeoutError) Error() string {
	return fmt.Sprintf("the run did not end within its run_timeout of %s", report.Duration(e.Limit))
}

// Run carries out builds and steps, and records them in run.Steps in that order. Builds must be
// ordered parents first. Steps that need a failed image are blocked. Run returns when all have
// ended. If ctx ends first, running steps are stopped (TERM, the step's grace, KILL), and steps
// that have not started are marked interrupted. If the cause of ctx is a RunTimeoutError, the
// stopped steps are timeouts.
//
// If the engine goes away, the steps that were running are broken. The others wait until it is
// back (Patience).
//
// An error means that the record on disk is not up to date.
func (r *Runner) Run(ctx context.Context, run *report.Run, builds []Build, steps []suite.Step) error {
	r.run, r.needs = run, indexNeeds(builds, steps)
	r.run.Steps = r.Plan(builds, steps)
	r.saver.save = r.save
	used := append(make([][]resource, len(builds)), resourcesOf(steps)...)
	schedule(ctx, r.Jobs, used, r.needs, func(i int) {
		if i < len(builds) {
			r.finish(i, r.build(ctx, i, builds[i]))
		} else {
			r.finish(i, r.step(ctx, i, steps[i-len(builds)]))
		}
	})
	_ = r.awaitEngine(ctx) // removes what the last step left; a failure is in the notes
	if r.interruptRest(context.Cause(ctx)) {
		r.saver.request()
	}
	return r.saver.flush()
}

// Plan returns the results of builds and steps as they are before they run.
func (r *Runner) Plan(builds []Build, steps []suite.Step) []report.Result {
	results := make([]report.Result, 0, len(builds)+len(steps))
	for _, build := range builds {
		results = append(results, r.plannedBuild(build))
	}
	for _, step := range steps {
		results = append(results, r.planned(step))
	}
	return results
}

func (r *Runner) planned(step suite.Step) report.Result {
	tree := r.Commits[step.Dir]
	return report.Result{
		Commit:  tree.Commit,
		Dirty:   tree.Dirty,
		Name:    step.Name,
		Kind:    report.KindTest,
		Test:    step.Test,
		Image:   step.Image,
		Command: r.Mask.String(step.Container.CommandLine(r.CLI, r.keepAs(step))),
	}
}

// finish records the end of a step on disk, and then notifies the observer.
func (r *Runner) finish(index int, result report.Result) {
	result.Mask(r.Mask)
	r.History.Judge(r.run, &result)
	_ = r.record(index, result).wait() // Run returns the error of the last save
	r.Observer.Finished(index, result)
}

// record sets the result of a step, and requests a save.
func (r *Runner) record(index int, result report.Result) *saving {
	r.mu.Lock()
	r.run.Steps[index] = result
	r.mu.Unlock()
	return r.saver.request()
}

// result returns the result of a step so far.
func (r *Runner) result(index int) report.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.Steps[index]
}

// interruptRest marks the steps that never started because of cause, and reports whether there
// were any.
func (r *Runner) interruptRest(cause error) (marked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.run.Steps {
		if result := &r.run.Steps[i]; result.Outcome == "" {
			result.Outcome = report.Interrupted
			result.Reason = notStarted(cause)
			marked = true
		}
	}
	return marked
}

// save writes the record to disk.
func (r *Runner) save() error {
	r.mu.Lock()
	snapshot := *r.run
	snapshot.Steps = append([]report.Result(nil), r.run.Steps...)
	r.mu.Unlock()
	if err := r.Folder.Save(&snapshot); err != nil {
		return fmt.Errorf("save the record of the run: %w", err)
	}
	return nil
}
