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
)

// tidyBound is how long the removal of superseded images may take at the end of a run.
const tidyBound = 2 * time.Minute

// tidy removes the builds that this run superseded beyond those to keep, and looks at what
// is left of the engine's disk. An interrupted run leaves that to the next one.
func (r *execution) tidy(ctx context.Context, w *world, e *engine.Engine, run *report.Run, before engine.Disk) {
	var after engine.Disk
	if ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, tidyBound)
		defer cancel()
		if built(run) {
			r.removeSuperseded(ctx, w, e, run)
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

func (r *execution) removeSuperseded(ctx context.Context, w *world, e *engine.Engine, run *report.Run) {
	old, err := images.Superseded(ctx, e, r.suite.Name, r.suite.KeepImages)
	if err == nil {
		old, err = images.RemoveSuperseded(ctx, e, old)
	}
	for _, one := range old {
		w.log.Debugf("removed the superseded image %s", one.Tag)
	}
	err = errors.Join(err, images.PruneInventories(ctx, e, r.suite.Name, r.suite.Logs))
	if err != nil {
		run.Notes = append(run.Notes, fmt.Sprintf("superseded images are still there, the next run removes them: %v", err))
	}
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
		Labels:  map[string]string{runner.LabelRun: run.Folder, runner.LabelMachine: machine(), runner.LabelSuite: run.Suite},
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
