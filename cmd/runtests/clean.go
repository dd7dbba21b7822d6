package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/go-units"

	"runtests/pkg/container"
	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/images"
	"runtests/pkg/pipeline"
	"runtests/pkg/plain"
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
	b := broom{world: w, dry: c.DryRun}
	err = errors.Join(b.containers(ctx, e), b.images(ctx, e, s), b.runs(s))
	if b.found == 0 && err == nil {
		w.log.Info("there is nothing to remove")
	}
	return err
}

// suite is the suite with what the command line says of it; without a suite file, the
// runs of this directory.
func (c *cleanCommand) suite(w *world) (*suite.Suite, error) {
	if c.KeepRuns != nil && *c.KeepRuns < 1 || c.KeepImages != nil && *c.KeepImages < 0 {
		return nil, errors.New("--keep-runs takes 1 or more, as the latest run always stays, and --keep-images 0 or more")
	}
	s, err := w.loadSuite(suite.Overrides{})
	if errors.Is(err, fs.ErrNotExist) && w.suiteFile == "" {
		s, err = &suite.Suite{Logs: filepath.Join(workingDir(), defaultLogs), KeepRuns: 30}, nil
	}
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

// broom removes what old runs left, and prints what it removed; a dry one only prints.
type broom struct {
	*world
	dry   bool
	found int
}

// gone prints a line for something that was removed, or would be.
func (b *broom) gone(what, name, about string, args ...any) {
	b.found++
	verb := "removed"
	if b.dry {
		verb = "would remove"
	}
	fmt.Fprintf(b.stdout, "%s %s %s (%s)\n", verb, what, plain.Clean(name), plain.Clean(fmt.Sprintf(about, args...)))
}

func (b *broom) containers(ctx context.Context, e *engine.Engine) error {
	var gone []container.Summary
	var errs []error
	if b.dry {
		gone, errs = runner.Leftovers(ctx, e, pipeline.MachineID(), pipeline.Alive(pipelineLog{b.world}))
	} else {
		gone, errs = runner.Sweep(ctx, e, e, pipeline.MachineID(), pipeline.Alive(pipelineLog{b.world}))
	}
	for _, one := range gone {
		b.gone("container", one.Name, "of the run %s, which was cut off", one.Labels[runner.LabelRun])
	}
	return errors.Join(errs...)
}

func (b *broom) images(ctx context.Context, e *engine.Engine, s *suite.Suite) error {
	if s.File == "" {
		return nil // only a suite builds any
	}
	runs, err := history.ReadHistory(s.Logs, "")
	if err != nil {
		return err
	}
	needed, err := runs.LastPassedOn(s.Logs, nil)
	if err != nil {
		return fmt.Errorf("the images are left alone, as nobody can say which of them are needed: %w", err)
	}
	old, err := pipeline.UnneededImages(ctx, e, s, needed, true)
	if err == nil && !b.dry {
		old, err = images.RemoveSuperseded(ctx, e, old)
		err = errors.Join(err, images.PruneInventories(ctx, e, s.Name, s.Logs, needed))
	}
	for _, one := range old {
		b.gone("image", one.Tag, "%s, %s, built %s", shortID(one.ID), units.HumanSize(float64(one.Size)), one.Built.Format(time.DateTime))
	}
	return err
}

func (b *broom) runs(s *suite.Suite) error {
	old, err := history.Prunable(s.Logs, s.KeepRuns)
	if err != nil {
		return err
	}
	for _, run := range old {
		b.gone("run", run.ID, "%s in %s", units.HumanSize(float64(run.Bytes)), s.Logs)
	}
	if b.dry {
		return nil
	}
	_, err = history.Prune(s.Logs, s.KeepRuns)
	return err
}
