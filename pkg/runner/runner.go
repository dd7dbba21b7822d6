// Package runner carries out one run: it brings the images of a suite up to date,
// runs each test in a fresh container as soon as its own image is ready, several
// at a time when they do not disturb each other, and fills in the facts. It goes on
// after a failure, and it leaves no container behind but those it was told to keep.
//
// A test that does not pass is a Result, not an error: an error means that the
// run itself could not go on.
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

// Observer is told what happens while it happens. Its methods are called from
// several goroutines, and must not wait for a person or a terminal.
type Observer interface {
	// Started says that the step of that index in the run has begun. Its output
	// can be followed in log until Finished.
	Started(index int, result report.Result, log *Log)
	// Finished says that the step has ended, after the record of it is on disk.
	Finished(index int, result report.Result)
	// Trying says that the step, which has ended, is run once more to find the cause of its
	// failure: how, in words, with its output in log.
	Trying(index int, result report.Result, how string, log *Log)
	// Diagnosed says that the step has its verdict, after the record of it is on disk.
	Diagnosed(index int, result report.Result)
}

// Runner runs the steps of one run.
type Runner struct {
	Executor Executor
	Keeper   Keeper     // gives containers the names to keep them by; nil: none can be kept
	Images   ImageStore // of the executor; nil: it sees to its images itself
	Folder   *history.Folder
	Observer Observer
	Now      func() time.Time
	Machine  string                    // tells this machine's containers from those of others on the same engine
	CLI      string                    // the command a person would type: docker, podman
	Remote   bool                      // the engine is on another machine: test directories may be there only
	Jobs     int                       // steps at a time, at least 1
	Keep     string                    // the name that the container of the only step is kept under; empty: none is kept
	Mask     plain.Mask                // takes the suite's secrets out of the results
	MaxLog   int64                     // bytes of a log on disk at most, at least 64 KiB; 0: no limit
	History  *history.History          // of the runs before, which each result is compared with; nil: with none
	Commits  map[string]worktree.State // of the tests' directories, as far as they are in a git work tree
	UseStale bool                      // a test whose image failed runs on the image of before
	// KeepPassed names the container of a step that is kept when it passed, and only then;
	// empty: it is not kept. nil: none is.
	KeepPassed func(step suite.Step) string
	// Patience is how long the next step waits for an engine that went away; after
	// that no step is started any more. Default: 2 minutes.
	Patience time.Duration

	images  imageStore
	outages outages
	mu      sync.Mutex // guards run
	run     *report.Run
	needs   [][]int // for each step, the builds that it stands on
	saver   saver
}

// A RunTimeoutError is the cause of the context of a run whose time is over.
type RunTimeoutError struct{ Limit time.Duration }

func (e *RunTimeoutError) Error() string {
	return fmt.Sprintf("the run's time of %s was over (run_timeout)", report.Duration(e.Limit))
}

// Run carries out builds and steps and fills in run.Steps, in that order: parents
// stand before what needs them. What needs an image that failed is blocked. It returns
// when all have ended; when ctx ends first, what runs is stopped (TERM, the step's
// grace, KILL) and what has not started is marked interrupted. A RunTimeoutError as
// its cause makes what ran a timeout.
//
// An engine that goes away costs the steps that run on it: they are broken. The others
// wait until it is back (Patience).
//
// The error, if any, says that the record on disk is not up to date.
func (r *Runner) Run(ctx context.Context, run *report.Run, builds []Build, steps []suite.Step) error {
	r.run, r.needs = run, needs(builds, steps)
	r.run.Steps = r.Plan(builds, steps)
	r.saver.save = r.save
	claims := append(make([]claims, len(builds)), claimsOf(steps)...)
	schedule(ctx, r.Jobs, claims, r.needs, func(i int) {
		if i < len(builds) {
			r.finish(i, r.build(ctx, i, builds[i]))
		} else {
			r.finish(i, r.step(ctx, i, steps[i-len(builds)]))
		}
	})
	_ = r.await(ctx) // for what the last step left; why it could not be removed is in its notes
	if r.interruptRest(context.Cause(ctx)) {
		r.saver.request()
	}
	return r.saver.flush()
}

// Plan returns the results of builds and steps as they are before anything ran.
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
		Kind:    report.Test,
		Test:    step.Test,
		Image:   step.Image,
		Command: r.Mask.String(step.Container.CommandLine(r.CLI, r.keepAs(step))),
	}
}

// finish records the end of a step, on disk first and then to whoever watches.
func (r *Runner) finish(index int, result report.Result) {
	result.Mask(r.Mask)
	r.History.Judge(r.run, &result)
	_ = r.record(index, result).wait() // Run returns the error of the last save
	r.Observer.Finished(index, result)
}

// record sets what is known of a step, and asks for it to be saved.
func (r *Runner) record(index int, result report.Result) *saved {
	r.mu.Lock()
	r.run.Steps[index] = result
	r.mu.Unlock()
	return r.saver.request()
}

// result returns what is known of a step.
func (r *Runner) result(index int) report.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.Steps[index]
}

// interruptRest marks the steps that never started, if there are any, because of cause.
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

// save writes the record as it is now.
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
