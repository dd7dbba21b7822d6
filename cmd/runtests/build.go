package main

import (
	"context"

	"runtests/pkg/pipeline"
	"runtests/pkg/suite"
)

type buildCommand struct {
	Images []string `arg:"" optional:"" name:"image" help:"Images, or globs over their names (default: all)."`
	flags
}

// Run implements the command.
func (c *buildCommand) Run(ctx context.Context, w *world) error {
	s, err := w.loadSuite(suite.Overrides{})
	if err != nil {
		return err
	}
	images, err := s.SelectImages(c.Images)
	if err != nil {
		return err
	}
	plan := pipeline.Plan{Suite: s, Images: images, Partial: true}
	if err := c.apply(&plan); err != nil {
		return err
	}
	return c.carryOut(ctx, w, plan)
}
