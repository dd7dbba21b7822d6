package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"runtests/pkg/engine"
	"runtests/pkg/images"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

// builds returns the images of the chain as steps of the run.
func (p *Pipeline) builds(run *report.Run) []runner.Build {
	updater := &images.Updater{
		Engine:  p.engine,
		Logs:    p.Suite.Logs,
		Suite:   p.Suite.Name,
		RunID:   run.ID,
		Started: run.Started,
		Rebuild: p.Rebuild,
		Labels:  labelsOf(run),
	}
	var builds []runner.Build
	for _, image := range p.chain {
		builds = append(builds, runner.Build{
			Name:    image.Name,
			Needs:   image.Needs,
			Command: image.CommandLine(p.engine.Info().CLI(), p.Rebuild),
			Timeout: image.Build.Timeout,
			Update: func(ctx context.Context, open func() (io.Writer, error)) (runner.Built, error) {
				result, err := updater.Update(ctx, image, open)
				return runner.Built{ImageID: result.ImageID, Facts: result.Build, Notes: result.Notes}, err
			},
		})
	}
	return builds
}

// labelsOf returns the labels of a container that a run creates besides those of its steps.
func labelsOf(run *report.Run) map[string]string {
	return runner.Labels(run.Folder, MachineID(), run.Suite, "", "", "")
}

const (
	// tidyTimeout is how long the removal of superseded images may take at the end of a run.
	tidyTimeout = 2 * time.Minute
	// keepTimeout is how long an interrupted run may take to keep the images that tests passed on.
	keepTimeout = 10 * time.Second
)

// tidy keeps the images that tests last passed on, removes superseded builds beyond those to keep,
// and looks at what is left of the engine's disk. An interrupted run leaves the removal to the
// next one.
func (p *Pipeline) tidy(ctx context.Context, run *report.Run, before engine.Disk) {
	timeout, interrupted := tidyTimeout, ctx.Err() != nil
	if interrupted {
		ctx, timeout = context.WithoutCancel(ctx), keepTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	needed, err := p.history.LastPassedImages(p.Suite.Logs, run)
	if p.Suite.File != "" {
		if err := Keeper(p.Suite).Keep(ctx, p.engine, needed); err != nil {
			p.Log.Debug(err)
		}
	}
	var after engine.Disk
	switch {
	case interrupted:
	case err != nil:
		p.Log.Debug(fmt.Errorf("leave earlier images alone: %w", err))
	default:
		p.removeUnneeded(ctx, run, needed)
		if hasBuilt(run) {
			after = p.disk(ctx)
		}
	}
	var warnings []string
	run.Disk, warnings = diskFacts(before, after, p.Suite.MinFreeDisk)
	run.Notes = append(run.Notes, warnings...)
}

// hasBuilt reports whether an image was built in run.
func hasBuilt(run *report.Run) bool {
	return slices.ContainsFunc(run.Steps, func(step report.Result) bool {
		return step.Kind == report.KindImage && step.Outcome == report.Passed && !step.Build.Current
	})
}

// removeUnneeded removes those of the suite's images that no test needs any more. needed holds the
// IDs of the others.
func (p *Pipeline) removeUnneeded(ctx context.Context, run *report.Run, needed map[string]bool) {
	if p.Suite.File == "" {
		return // only a suite builds and keeps images
	}
	built, find := hasBuilt(run), UnneededImages
	if !built { // no build was superseded
		find = unneededNames
	}
	old, err := find(ctx, p.engine, p.Suite, needed)
	if err == nil {
		old, err = images.Remove(ctx, p.engine, old)
	}
	for _, image := range old {
		p.Log.Debug(fmt.Errorf("removed the superseded image %s", image.Tag))
	}
	if built {
		err = errors.Join(err, images.PruneInventories(ctx, p.engine, p.Suite.Name, p.Suite.Logs, needed))
	}
	if err != nil {
		run.Notes = append(run.Notes, fmt.Sprintf("superseded images are still there, the next run removes them: %v", err))
	}
}

// UnneededImages returns the suite's images that may be removed: the kept names of images on which
// no test last passed, and superseded builds. needed holds the IDs of the images on which a test
// last passed.
func UnneededImages(ctx context.Context, e *engine.Engine, s *suite.Suite, needed map[string]bool) ([]images.Removable, error) {
	names, err := unneededNames(ctx, e, s, needed)
	if err != nil {
		return nil, err
	}
	superseded, err := images.Superseded(ctx, e, s.Name, s.KeepImages, needed)
	return append(names, superseded...), err
}

// unneededNames returns those of the UnneededImages that are kept names.
func unneededNames(ctx context.Context, e *engine.Engine, s *suite.Suite, needed map[string]bool) ([]images.Removable, error) {
	return Keeper(s).Unneeded(ctx, e, needed)
}

// Keeper returns what keeps the images that the suite's tests last passed on.
func Keeper(s *suite.Suite) images.Keeper {
	logs := s.Logs
	if full, err := filepath.Abs(logs); err == nil {
		logs = full
	}
	return images.Keeper{Suite: s.Name, Logs: logs, Machine: MachineID()}
}
