package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"runtests/pkg/pipeline"
)

// flags are those that run and build have in common.
type flags struct {
	Jobs    int           `short:"j" placeholder:"N" env:"RUNTESTS_JOBS" help:"Run up to N steps at a time."`
	Lines   int           `short:"n" placeholder:"N" env:"RUNTESTS_LINES" help:"Show the last N lines of a failed step."`
	Rebuild bool          `env:"RUNTESTS_REBUILD" help:"Build all images, without cache."`
	Mail    bool          `env:"RUNTESTS_MAIL" help:"Mail the report; print only what is wrong."`
	Report  string        `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"Print the report as ${enum}."`
	Wait    time.Duration `placeholder:"D" env:"RUNTESTS_WAIT" help:"Wait this long for another run to end."`
	DryRun  bool          `help:"Print the steps and their commands; run nothing."`
}

// apply checks the flags and applies them to a plan.
func (f *flags) apply(plan *pipeline.Plan) error {
	if f.Jobs < 0 || f.Lines < 0 || f.Wait < 0 {
		return errors.New("--jobs, --lines and --wait must not be negative")
	}
	if f.Mail && plan.Suite.Mail == nil {
		return errors.New("--mail needs a mail section in the suite file")
	}
	if f.Jobs > 0 {
		plan.Suite.Jobs = f.Jobs
	}
	if f.Lines > 0 {
		plan.Suite.Lines = f.Lines
	}
	plan.Rebuild, plan.Mail, plan.Wait = f.Rebuild, f.Mail, f.Wait
	return nil
}

// carryOut carries out a plan, or prints it with --dry-run.
func (f *flags) carryOut(ctx context.Context, w *world, plan pipeline.Plan) error {
	p := w.pipeline(plan, f.Report)
	if f.DryRun {
		return printSteps(w, p)
	}
	return run(ctx, p)
}

// pipeline returns the pipeline of a plan, whose report is printed in that format.
func (w *world) pipeline(plan pipeline.Plan, format string) *pipeline.Pipeline {
	return &pipeline.Pipeline{
		Plan:    plan,
		Program: "runtests " + version,
		Command: strings.Join(os.Args, " "),
		Mask:    w.mask,
		Console: &console{world: w, mail: plan.Mail, wait: plan.Wait, format: format},
		Log:     pipelineLog{w},
	}
}

// run runs a pipeline, and returns the exit status as an error.
func run(ctx context.Context, p *pipeline.Pipeline) error {
	conclusion, err := p.Run(ctx)
	if err != nil {
		return err
	}
	return exitStatus(statusOf(ctx, conclusion))
}

// printSteps prints what would be run.
func printSteps(w *world, p *pipeline.Pipeline) error {
	steps, err := p.PlannedSteps()
	if err != nil {
		return err
	}
	for _, step := range steps {
		fmt.Fprintf(w.stdout, "%s\n  $ %s\n", step.Title(), cleanLines(step.Command))
	}
	return nil
}
