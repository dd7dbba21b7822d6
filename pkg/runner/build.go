package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// Build is an image of the suite, which is brought up to date before the steps that need it.
type Build struct {
	Name    string        // of the image in the suite, and of the step
	Needs   []string      // the names of the builds that must come before it
	Command string        // the command that does the same by hand
	Timeout time.Duration // 0: none
	// Update brings the image up to date. It calls open, at most once, to create the step's log
	// if it has something to print. A *container.BuildError means that the Dockerfile failed; any
	// other error, that it could not be tried.
	Update func(ctx context.Context, open func() (io.Writer, error)) (Built, error)
}

// Built is the result of Update, also of one that failed.
type Built struct {
	ImageID string
	Facts   report.Build
	Notes   []string
}

func (r *Runner) plannedBuild(build Build) report.Result {
	return report.Result{
		Name:    build.Name,
		Kind:    report.KindImage,
		Image:   build.Name,
		Command: r.Mask.String(build.Command),
	}
}

// build brings an image up to date, and returns the result of the step.
func (r *Runner) build(ctx context.Context, index int, build Build) report.Result {
	result := r.plannedBuild(build)
	if blocker := r.blocker(index); blocker != nil {
		setBlocked(&result, *blocker)
		return result
	}
	if err := r.awaitEngine(ctx); err != nil {
		setBroken(ctx, &result, err)
		return result
	}
	result.Started = r.Now()
	r.record(index, result)
	r.update(ctx, index, build, &result)
	result.Duration = report.Duration(r.Now().Sub(result.Started))
	return result
}

// update carries out the build and completes result.
func (r *Runner) update(ctx context.Context, index int, build Build, result *report.Result) {
	var log *Log
	open := func() (io.Writer, error) {
		var err error
		if log, err = r.createLog(build.Name, 1); err != nil {
			return nil, err
		}
		r.Observer.Started(index, *result, log)
		return log, nil
	}
	buildCtx, cancel := ctx, context.CancelFunc(func() {})
	if build.Timeout > 0 {
		buildCtx, cancel = context.WithTimeoutCause(ctx, build.Timeout, errTimeout)
	}
	built, err := build.Update(buildCtx, open)
	judgeBuild(buildCtx, build, err, result)
	cancel()
	r.noteOutage(build.Name, err)
	result.ImageID, result.Build, result.Notes = built.ImageID, &built.Facts, append(result.Notes, built.Notes...)
	if log == nil {
		return
	}
	defer log.close()
	if err := log.end(); err != nil {
		result.Notes = append(result.Notes, err.Error())
	}
	describeLog(log, r.run.Lines, result)
}

// judgeBuild sets the outcome of a build from its error.
func judgeBuild(ctx context.Context, build Build, err error, result *report.Result) {
	var failed *container.BuildError
	var runTimeout *RunTimeoutError
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		result.Outcome = report.Passed
	case errors.As(err, &failed) && !errors.Is(err, container.ErrNoSpace):
		result.Outcome = report.Failed
		result.Reason, result.Notes = describeFailure(failed)
		if failed.Code != 0 {
			result.ExitStatus = &failed.Code
		}
	case cause != nil && errors.Is(cause, errTimeout):
		result.Outcome, result.Reason = report.Timeout, "not built within its timeout of "+report.Duration(build.Timeout).String()
	case cause != nil && errors.As(cause, &runTimeout):
		result.Outcome, result.Reason = report.Timeout, runTimeout.Error()+", the build was stopped"
	case cause != nil:
		result.Outcome, result.Reason = report.Interrupted, "the run was interrupted, the build was stopped"
	default:
		setBroken(ctx, result, err)
	}
}

// describeFailure returns how a Dockerfile failed, and where.
func describeFailure(failed *container.BuildError) (reason string, where []string) {
	reason = failed.Message
	if failed.Code != 0 {
		reason = fmt.Sprintf("exit status %d%s", failed.Code, bySignal(failed.Code))
	}
	switch {
	case failed.Line > 0 && failed.Instruction != "":
		where = []string{fmt.Sprintf("line %d of the Dockerfile: %s", failed.Line, failed.Instruction)}
	case failed.Line > 0:
		where = []string{fmt.Sprintf("line %d of the Dockerfile", failed.Line)}
	case failed.Instruction != "":
		where = []string{"in the Dockerfile: " + failed.Instruction}
	}
	return reason, where
}

// indexNeeds returns, for each build and then each step, the indices of the builds that must end
// before it starts.
func indexNeeds(builds []Build, steps []suite.Step) [][]int {
	indices := func(names ...string) (found []int) {
		for _, name := range names {
			if i := slices.IndexFunc(builds, func(b Build) bool { return b.Name == name }); i >= 0 {
				found = append(found, i)
			}
		}
		return found
	}
	needs := make([][]int, 0, len(builds)+len(steps))
	for _, build := range builds {
		needs = append(needs, indices(build.Needs...))
	}
	for _, step := range steps {
		needs = append(needs, indices(step.Image))
	}
	return needs
}

// blocker returns the first build that did not pass of those that the step needs, or nil.
func (r *Runner) blocker(index int) *report.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, need := range r.needs[index] {
		if result := r.run.Steps[need]; result.Outcome != report.Passed {
			return &result
		}
	}
	return nil
}

// setBlocked marks a step that is not carried out because an image that it needs did not pass.
// BlockedBy is the image that failed itself, however long the chain.
func setBlocked(result *report.Result, blocker report.Result) {
	if blocker.Outcome == report.Interrupted {
		result.Outcome, result.Reason = report.Interrupted, notStarted(nil)
		return
	}
	result.Outcome, result.Reason, result.BlockedBy = report.Blocked, blocker.Reason, blocker.BlockedBy
	if blocker.Outcome != report.Blocked {
		result.BlockedBy = blocker.Name
		result.Reason = "the image " + blocker.Name + " " + failure(blocker.Outcome)
	}
}

// failure returns how an image failed, as a predicate of its name.
func failure(outcome report.Outcome) string {
	switch outcome {
	case report.Failed:
		return "failed"
	case report.Timeout:
		return "was not built in time"
	}
	return "could not be built"
}

// imagePassed reports whether the test can run: its image was built or, with UseStale, there is a
// previous image. If not, it completes result.
func (r *Runner) imagePassed(ctx context.Context, index int, step suite.Step, result *report.Result) bool {
	blocker := r.blocker(index)
	if blocker == nil {
		return true
	}
	setBlocked(result, *blocker)
	if !r.UseStale || r.Images == nil || result.Outcome != report.Blocked {
		return false
	}
	image, err := r.Images.Image(ctx, step.Container.Image)
	if err != nil {
		if errors.Is(err, container.ErrNoImage) {
			result.Notes = append(result.Notes, "there is no previous image to run it on (--use-stale)")
		} else {
			r.noteOutage(step.Name, err)
			result.Notes = append(result.Notes, fmt.Sprintf("could not run it on the previous image: %v", err))
		}
		return false
	}
	result.Notes = append(result.Notes, fmt.Sprintf("ran on the previous image, of %s, as %s (--use-stale)", image.Created.Local().Format(time.DateTime), result.Reason))
	result.Outcome, result.Reason, result.BlockedBy, result.Stale = "", "", "", true
	return true
}
