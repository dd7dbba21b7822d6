package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/images"
	"runtests/pkg/pipeline"
	"runtests/pkg/plain"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

type cleanCommand struct {
	DryRun     bool `help:"Print what would be removed; remove nothing."`
	KeepRuns   *int `placeholder:"N" help:"Keep the N newest runs."`
	KeepImages *int `placeholder:"N" help:"Keep the N newest superseded builds of an image."`
}

// Run implements the command.
func (c *cleanCommand) Run(ctx context.Context, w *world) error {
	s, err := c.suite(w)
	if err != nil {
		return err
	}
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	if s.File != "" && !c.DryRun {
		lock, err := history.LockSuite(s.Logs, history.Holder{PID: os.Getpid(), Since: time.Now(), Command: "runtests clean"})
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	r := remover{world: w, dryRun: c.DryRun}
	err = errors.Join(r.containers(ctx, e), r.images(ctx, e, s), r.runs(s))
	if r.found == 0 && err == nil {
		w.log.Info("there is nothing to remove")
	}
	return err
}

// suite returns the suite, or what stands for it, with the flags applied.
func (c *cleanCommand) suite(w *world) (*suite.Suite, error) {
	if c.KeepRuns != nil && *c.KeepRuns < 1 || c.KeepImages != nil && *c.KeepImages < 0 {
		return nil, errors.New("--keep-runs must be at least 1, as the latest run always stays, and --keep-images at least 0")
	}
	s, err := w.loadSuiteOrRuns()
	if err != nil {
		return nil, err
	}
	if c.KeepRuns != nil {
		s.KeepRuns = *c.KeepRuns
	}
	if c.KeepImages != nil {
		s.KeepImages = *c.KeepImages
	}
	return s, nil
}

// remover removes what old runs left, and prints what it removed. With dryRun it only prints.
type remover struct {
	*world
	dryRun bool
	found  int
}

// print prints a line for something that was removed, or would be.
func (r *remover) print(what, name, about string, args ...any) {
	r.found++
	verb := "removed"
	if r.dryRun {
		verb = "would remove"
	}
	fmt.Fprintf(r.stdout, "%s %s %s (%s)\n", verb, what, plain.Clean(name), plain.Clean(fmt.Sprintf(about, args...)))
}

func (r *remover) containers(ctx context.Context, e *engine.Engine) error {
	var removed []container.Summary
	var errs []error
	alive := pipeline.Alive(pipelineLog{r.world})
	if r.dryRun {
		removed, errs = runner.Leftovers(ctx, e, pipeline.MachineID(), alive)
	} else {
		removed, errs = runner.Sweep(ctx, e, e, pipeline.MachineID(), alive)
	}
	for _, c := range removed {
		r.print("container", c.Name, "of the run %s, which was cut off", c.Labels[runner.LabelRun])
	}
	return errors.Join(errs...)
}

func (r *remover) images(ctx context.Context, e *engine.Engine, s *suite.Suite) error {
	if s.File == "" {
		return nil // without a suite, no images were built
	}
	runs, err := history.ReadHistory(s.Logs, "")
	if err != nil {
		return err
	}
	needed, err := runs.LastPassedImages(s.Logs, nil)
	if err != nil {
		return fmt.Errorf("no images were removed, as it is not known which are needed: %w", err)
	}
	old, err := pipeline.UnneededImages(ctx, e, s, needed)
	if err == nil && !r.dryRun {
		old, err = images.Remove(ctx, e, old)
		err = errors.Join(err, images.PruneInventories(ctx, e, s.Name, s.Logs, needed))
	}
	for _, image := range old {
		r.print("image", image.Tag, "%s, %s, built %s", shortID(image.ID), report.Size(image.Size), image.Built.Format(time.DateTime))
	}
	return err
}

func (r *remover) runs(s *suite.Suite) error {
	old, err := history.Prunable(s.Logs, s.KeepRuns)
	if err != nil {
		return err
	}
	for _, run := range old {
		r.print("run", run.ID, "%s in %s", report.Size(run.Bytes), s.Logs)
	}
	if r.dryRun {
		return nil
	}
	_, err = history.Prune(s.Logs, s.KeepRuns)
	return err
}
