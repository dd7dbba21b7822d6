package main

import (
	"context"

	"runtests/pkg/suite"
)

type buildCommand struct {
	Images []string `arg:"" optional:"" name:"image" help:"An image of the suite, or a glob over their names (default: all that have a build). What an image stands on is built before it."`
	flags
}

// Run implements the command.
func (c *buildCommand) Run(ctx context.Context, w *world) error {
	s, err := w.loadSuite(suite.Overrides{})
	if err != nil {
		return err
	}
	wanted, err := s.SelectImages(c.Images)
	if err != nil {
		return err
	}
	r := &execution{flags: c.flags, suite: s, wanted: wanted, part: true}
	if err := r.check(); err != nil {
		return err
	}
	return r.carryOut(ctx, w)
}
