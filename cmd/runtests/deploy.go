package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"runtests/pkg/deploy"
	"runtests/pkg/engine"
	"runtests/pkg/hint"
	"runtests/pkg/pipeline"
	"runtests/pkg/suite"
)

type deployCommand struct {
	Names    []string `arg:"" optional:"" name:"name" help:"Deployments of the suite."`
	Last     bool     `xor:"what" help:"Promote the container kept last; run no test."`
	Rollback bool     `xor:"what" help:"Go back to the previous version."`
	Status   bool     `xor:"what" help:"Print what runs where, since when; change nothing."`
	DryRun   bool     `help:"Print the commands to type by hand; do nothing."`
	Report   string   `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"Print the report as ${enum}."`
}

// Run implements the command.
func (c *deployCommand) Run(ctx context.Context, w *world) error {
	s, err := w.loadSuite(suite.Overrides{})
	if err != nil {
		return err
	}
	names := c.Names
	if len(names) == 0 {
		if !c.Status {
			return hint.Errorf("runtests deploy NAME; runtests deploy --status lists them", "name a deployment")
		}
		for _, d := range s.Deployments {
			names = append(names, d.Name)
		}
	}
	wanted, err := s.FindDeployments(names)
	if err != nil {
		return err
	}
	if c.Status {
		return c.status(ctx, w, wanted)
	}
	for _, d := range wanted {
		if err := d.CheckFiles(); err != nil && !c.Rollback {
			return fmt.Errorf("deploy %s: %w", d.Name, err)
		}
	}
	plan := c.plan(s, wanted)
	p := w.pipeline(plan, c.Report)
	if c.DryRun {
		return c.printPromotion(ctx, w, plan)
	}
	return run(ctx, p)
}

// plan returns the run that tests what is to be deployed, and deploys it.
func (c *deployCommand) plan(s *suite.Suite, wanted []suite.Deployment) pipeline.Plan {
	plan := pipeline.Plan{Suite: s, Partial: true, Deployments: wanted, Last: c.Last, Rollback: c.Rollback}
	if c.Last || c.Rollback {
		return plan
	}
	plan.Steps = slices.DeleteFunc(slices.Clone(s.Steps), func(step suite.Step) bool {
		return !slices.ContainsFunc(wanted, func(d suite.Deployment) bool { return d.From == step.Name })
	})
	plan.Images = builtFor(s, plan.Steps)
	return plan
}

// status prints what runs in production. A machine that is away does not hide the others.
func (c *deployCommand) status(ctx context.Context, w *world, wanted []suite.Deployment) error {
	here, err := hereFor(ctx, wanted)
	if err != nil {
		return err
	}
	var failed exitStatus
	for _, d := range wanted {
		status, err := deploy.ReadStatus(ctx, d, deploy.Options{Here: here})
		if err != nil {
			w.printError(fmt.Errorf("look at %s: %w", d.Name, err))
			failed = exitNothingRun
			continue
		}
		fmt.Fprint(w.stdout, w.mask.Lines(status.String()), "\n")
	}
	if failed != 0 {
		return failed
	}
	return nil
}

// hereFor returns the address of the engine on which tests run, if one of the deployments is there.
func hereFor(ctx context.Context, wanted []suite.Deployment) (string, error) {
	if !slices.ContainsFunc(wanted, func(d suite.Deployment) bool { return d.Host == "" }) {
		return "", nil
	}
	e, err := engine.Connect(ctx, engine.Options{})
	if err != nil {
		return "", err
	}
	defer e.Close()
	return e.Info().Host, nil
}

// printPromotion prints what would be done, as commands.
func (c *deployCommand) printPromotion(ctx context.Context, w *world, plan pipeline.Plan) error {
	here, err := hereFor(ctx, plan.Deployments)
	if err != nil {
		return err
	}
	if c.Rollback {
		return errors.New("--dry-run prints a promotion, and cannot be combined with --rollback")
	}
	for _, step := range plan.Steps {
		if owned, err := step.WithOwner(plan.Suite.Regions()); err == nil {
			step = owned
		}
		command := w.mask.Lines(step.Container.CommandLine("docker", deploy.KeptName(plan.Suite, pipeline.MachineID(), step.Name)))
		fmt.Fprintf(w.stdout, "# the test, whose container is kept when it passes\n%s\n", command)
	}
	for _, d := range plan.Deployments {
		text, err := deploy.Commands(d, here, deploy.KeptName(plan.Suite, pipeline.MachineID(), d.From))
		if err != nil {
			return fmt.Errorf("deploy %s: %w", d.Name, err)
		}
		fmt.Fprint(w.stdout, w.mask.Lines(text))
	}
	return nil
}
