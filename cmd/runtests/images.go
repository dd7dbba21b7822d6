package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/images"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

// tidyBound is how long the removal of superseded images may take at the end of a run.
const tidyBound = 2 * time.Minute

// keepBound is how long an interrupted run may take to keep the images that tests passed on.
const keepBound = 10 * time.Second

// tidy keeps the images that tests last passed on, removes the builds that this run
// superseded beyond those to keep, and looks at what is left of the engine's disk. An
// interrupted run leaves what is to be removed to the next one.
func (r *execution) tidy(ctx context.Context, w *world, e *engine.Engine, run *report.Run, before engine.Disk) {
	bound, interrupted := tidyBound, ctx.Err() != nil
	if interrupted {
		ctx, bound = context.WithoutCancel(ctx), keepBound
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	needed, err := r.history.LastPassedOn(r.suite.Logs, run)
	if r.suite.File != "" {
		if err := r.passed().Keep(ctx, e, needed); err != nil {
			w.log.Debug(err)
		}
	}
	var after engine.Disk
	switch {
	case interrupted:
	case err != nil:
		w.log.Debugf("images of before are left alone: %v", err)
	default:
		r.removeUnneeded(ctx, w, e, run, needed)
		if built(run) {
			after = lookAtDisk(ctx, w, e)()
		}
	}
	var notes []string
	run.Disk, notes = diskFacts(before, after, r.suite.MinFreeDisk)
	run.Notes = append(run.Notes, notes...)
}

// built says that an image was built in run.
func built(run *report.Run) bool {
	return slices.ContainsFunc(run.Steps, func(step report.Result) bool {
		return step.Kind == report.Image && step.Outcome == report.Passed && !step.Build.Current
	})
}

// removeUnneeded removes the images of ours that no test needs, by ID, any more.
func (r *execution) removeUnneeded(ctx context.Context, w *world, e *engine.Engine, run *report.Run, needed map[string]bool) {
	if r.suite.File == "" {
		return // only a suite builds any, and keeps any
	}
	old, err := unneeded(ctx, e, r.suite, needed, built(run))
	if err == nil {
		old, err = images.RemoveSuperseded(ctx, e, old)
	}
	for _, one := range old {
		w.log.Debugf("removed the superseded image %s", one.Tag)
	}
	if built(run) {
		err = errors.Join(err, images.PruneInventories(ctx, e, r.suite.Name, r.suite.Logs, needed))
	}
	if err != nil {
		run.Notes = append(run.Notes, fmt.Sprintf("superseded images are still there, the next run removes them: %v", err))
	}
}

// unneeded are the images of ours that may go: the names of those on which no test of the
// suite last passed any more, and the superseded builds, if they are to be looked for.
func unneeded(ctx context.Context, e *engine.Engine, s *suite.Suite, needed map[string]bool, builds bool) ([]images.Old, error) {
	old, err := passedImages(s.Name, s.Logs).Unneeded(ctx, e, needed)
	if err != nil || !builds {
		return old, err
	}
	superseded, err := images.Superseded(ctx, e, s.Name, s.KeepImages, needed)
	return append(old, superseded...), err
}

// builds are the images of the chain, as steps of the run.
func (r *execution) builds(e *engine.Engine, run *report.Run) []runner.Build {
	updater := &images.Updater{
		Engine:  e,
		Logs:    r.suite.Logs,
		Suite:   r.suite.Name,
		RunID:   run.ID,
		Started: run.Started,
		Rebuild: r.Rebuild,
		Labels:  ourLabels(run),
	}
	var builds []runner.Build
	for _, image := range r.chain.Images {
		builds = append(builds, runner.Build{
			Name:    image.Name,
			Needs:   image.Needs,
			Command: image.CommandLine(cliOf(e.Info()), r.Rebuild),
			Timeout: image.Build.Timeout,
			Update: func(ctx context.Context, open func() (io.Writer, error)) (runner.Built, error) {
				result, err := updater.Update(ctx, image, open)
				return runner.Built{ImageID: result.ImageID, Facts: result.Build, Notes: result.Notes}, err
			},
		})
	}
	return builds
}
