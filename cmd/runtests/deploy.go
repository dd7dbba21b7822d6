package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/deploy"
	"runtests/pkg/engine"
	"runtests/pkg/history"
	"runtests/pkg/render"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
)

type deployCommand struct {
	Names    []string `arg:"" optional:"" name:"name" help:"A deployment of the suite (with --status: all by default)."`
	Last     bool     `xor:"what" help:"Do not run the test: promote the container that was kept last of those in which it passed."`
	Rollback bool     `xor:"what" help:"Go back to the version before the one that runs."`
	Status   bool     `xor:"what" help:"Print what runs where, since when, and from which run; change nothing."`
	DryRun   bool     `help:"Print the steps as commands that a person could type; do nothing."`
	Report   string   `enum:"text,json,junit,tap,html" default:"text" env:"RUNTESTS_REPORT" help:"The format of the report on stdout: ${enum}."`
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
			return hinted("runtests deploy NAME; runtests deploy --status lists them", "say what to deploy")
		}
		for _, one := range s.Deployments {
			names = append(names, one.Name)
		}
	}
	wanted, err := s.FindDeployments(names)
	if err != nil {
		return err
	}
	if c.Status {
		return c.status(ctx, w, wanted)
	}
	for _, one := range wanted {
		if err := one.CheckFiles(); err != nil && !c.Rollback {
			return fmt.Errorf("deploy %s: %w", one.Name, err)
		}
	}
	r := c.execution(s, wanted)
	if c.DryRun {
		return r.printPromotion(ctx, w)
	}
	return r.onEngine(ctx, w)
}

// execution is the run that tests what is to be deployed, and deploys it.
func (c *deployCommand) execution(s *suite.Suite, wanted []suite.Deployment) *execution {
	r := &execution{flags: flags{Report: c.Report}, suite: s, part: true, deploys: wanted, last: c.Last, rollback: c.Rollback}
	if c.Last || c.Rollback {
		return r
	}
	r.steps = slices.DeleteFunc(slices.Clone(s.Steps), func(step suite.Step) bool {
		return !slices.ContainsFunc(wanted, func(d suite.Deployment) bool { return d.From == step.Name })
	})
	r.wanted = builtFor(s, r.steps)
	return r
}

// status prints what runs in production. A machine that is away does not hide the others.
func (c *deployCommand) status(ctx context.Context, w *world, wanted []suite.Deployment) error {
	here, err := hereFor(ctx, wanted)
	if err != nil {
		return err
	}
	var wrong exitStatus
	for _, one := range wanted {
		status, err := deploy.Look(ctx, one, deploy.Options{Here: here})
		if err != nil {
			w.say(fmt.Errorf("look at %s: %w", one.Name, err))
			wrong = exitNothingRun
			continue
		}
		fmt.Fprint(w.stdout, cleanLines(w.mask.String(status.String())), "\n")
	}
	if wrong != 0 {
		return wrong
	}
	return nil
}

// hereFor is the address of the engine that tests run on, if one of the deployments is there.
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

// keptAs is the name that the container of a step is kept by for those who deploy it;
// empty: nobody does.
func (r *execution) keptAs(step suite.Step) string {
	if !slices.ContainsFunc(r.deployable(), func(d suite.Deployment) bool { return d.From == step.Name }) {
		return ""
	}
	return deploy.KeptName(r.suite.Name, step.Name)
}

// deployable are the deployments that this run may end with: those that were asked for, and
// after a run of the whole suite those that are automatic.
func (r *execution) deployable() []suite.Deployment {
	if len(r.deploys) > 0 || r.part {
		return r.deploys
	}
	return slices.DeleteFunc(slices.Clone(r.suite.Deployments), func(d suite.Deployment) bool { return !d.Auto })
}

// openSites reaches production for the deployments that were asked for, before anything is
// run: nobody is to learn after an hour that it cannot be.
func (r *execution) openSites(ctx context.Context, e *engine.Engine) error {
	r.sites = map[string]*deploy.Site{}
	for _, one := range r.deploys {
		site, err := deploy.Open(ctx, one, deploy.Options{Here: e.Info().Host})
		if err != nil {
			return fmt.Errorf("deploy %s: %w", one.Name, err)
		}
		r.sites[one.Name] = site
		switch {
		case r.last:
			_, err = r.lastKept(ctx, e, one)
		case r.rollback:
			err = site.CanGoBack(ctx)
		}
		if err != nil {
			return fmt.Errorf("deploy %s: %w", one.Name, err)
		}
	}
	return nil
}

func (r *execution) closeSites() {
	for _, site := range r.sites {
		_ = site.Close() // it was only asked
	}
}

// lastKept is the container that was kept last of those in which the test of d passed.
func (r *execution) lastKept(ctx context.Context, e *engine.Engine, d suite.Deployment) (deploy.Passed, error) {
	kept, ok, err := runner.LastKept(ctx, e, machine(), r.suite.Name, d.From)
	if err != nil {
		return deploy.Passed{}, err
	}
	if !ok {
		return deploy.Passed{}, hinted("runtests deploy "+d.Name+" runs the test, and keeps its container", "no container is kept in which %s passed", d.From)
	}
	return passedIn(kept), nil
}

// passedIn is what is known of a kept container; of its image, as far as the record of its
// run is still there.
func passedIn(kept container.Summary) deploy.Passed {
	folder := kept.Labels[runner.LabelRun]
	passed := deploy.Passed{
		Container: kept.ID, Run: runID(folder), Suite: kept.Labels[runner.LabelSuite], Step: kept.Labels[runner.LabelStep],
		Image: kept.Image, Commit: kept.Labels[runner.LabelCommit], Machine: hostname(),
	}
	if record, err := history.Open("", folder); err == nil {
		for _, step := range record.Steps {
			if step.Name == passed.Step && step.ImageID != "" {
				passed.Image = step.ImageID
			}
		}
	}
	return passed
}

// promote carries out the deployments that the run ends with, as steps of its own. It is
// called when all other steps have ended.
func (r *execution) promote(ctx context.Context, w *world, e *engine.Engine, folder *history.Folder, run *report.Run) {
	culprit := notPassed(run)
	first := len(run.Steps)
	for _, one := range r.deployable() {
		run.Steps = append(run.Steps, r.plannedDeployment(w, one))
	}
	for i, one := range r.deployable() {
		result := &run.Steps[first+i]
		switch {
		case ctx.Err() != nil:
			result.Outcome, result.Reason = report.Interrupted, "not started, as the run was interrupted: what runs in production is as before"
			continue
		case culprit != "":
			result.Outcome, result.BlockedBy = report.Blocked, culprit
			result.Reason = culprit + " did not pass: what runs in production is as before"
			continue
		}
		result.Started = time.Now()
		if err := folder.Save(run); err != nil {
			w.log.Warn(err)
		}
		r.deploy(ctx, w, e, folder, one, result)
		result.Mask(w.mask)
		r.history.Judge(run, result)
		if !r.Mail && !w.quiet {
			fmt.Fprintln(w.stderr, render.Headline(*result))
		}
	}
}

// notPassed is the name of the first step that did not pass; empty: all did.
func notPassed(run *report.Run) string {
	for _, step := range run.Steps {
		if step.Outcome != report.Passed {
			return step.Name
		}
	}
	return ""
}

func (r *execution) plannedDeployment(w *world, d suite.Deployment) report.Result {
	how := " --last"
	if r.rollback {
		how = " --rollback"
	}
	file := ""
	if r.suite.File != "" {
		file = " -f " + r.suite.File
	}
	return report.Result{Name: d.Name, Kind: report.Deploy, Image: deploy.Repository(d.Name), Command: w.mask.String("runtests" + file + " deploy " + d.Name + how)}
}

// deploy carries out one deployment, and fills in its result.
func (r *execution) deploy(ctx context.Context, w *world, e *engine.Engine, folder *history.Folder, d suite.Deployment, result *report.Result) {
	log := newDeployLog(w, folder, d.Name, r.Mail)
	done, err := r.bring(ctx, e, d, log)
	result.Duration = report.Duration(time.Since(result.Started))
	result.Deployment = &report.Deployment{Host: done.Host, Outage: report.Duration(done.Outage), Bytes: done.Sent.Bytes}
	if done.Mended != "" {
		result.Notes = append(result.Notes, done.Mended)
	}
	result.Notes = append(result.Notes, done.Warnings...)
	judgeDeployment(ctx, err, result)
	if err == nil {
		facts := result.Deployment
		facts.Release, facts.Run, facts.Commit, facts.Before = done.Now.Tag, done.Now.Run, done.Now.Commit, done.Before.Tag
		facts.Handover, facts.RolledBack = done.Handover, r.rollback
		result.Image = deploy.Repository(d.Name) + ":" + done.Now.Tag
	}
	var failed *deploy.FailedError
	if errors.As(err, &failed) {
		result.Deployment.Outage = report.Duration(failed.Outage)
		log.version(failed.Log)
	}
	log.end(r.suite.Lines, result)
}

// bring promotes, or goes back.
func (r *execution) bring(ctx context.Context, e *engine.Engine, d suite.Deployment, log *deployLog) (deploy.Promoted, error) {
	site := r.sites[d.Name]
	if site == nil { // it is automatic
		if err := d.CheckFiles(); err != nil {
			return deploy.Promoted{}, err
		}
		var err error
		if site, err = deploy.Open(ctx, d, deploy.Options{Here: e.Info().Host}); err != nil {
			return deploy.Promoted{}, err
		}
		defer site.Close()
	}
	p := deploy.Promoter{From: e, Now: time.Now, Say: log.say, Progress: log.progress}
	if r.rollback {
		return p.Rollback(ctx, site)
	}
	passed, err := r.lastKept(ctx, e, d)
	if err != nil {
		return deploy.Promoted{}, err
	}
	return p.Promote(ctx, site, passed)
}

// judgeDeployment sets the outcome of a deployment from its error.
func judgeDeployment(ctx context.Context, err error, result *report.Result) {
	var failed *deploy.FailedError
	switch {
	case err == nil:
		result.Outcome = report.Passed
		return
	case errors.As(err, &failed):
		result.Outcome = report.Failed
	case ctx.Err() != nil:
		result.Outcome = report.Interrupted
	default:
		result.Outcome = report.Broken
	}
	result.Reason, result.Hint = err.Error(), hintOf(err)
}

// printPromotion prints what would be done, as commands.
func (r *execution) printPromotion(ctx context.Context, w *world) error {
	here, err := hereFor(ctx, r.deploys)
	if err != nil {
		return err
	}
	if r.rollback {
		return errors.New("--dry-run says what a promotion does, not what --rollback does")
	}
	if !r.last {
		for _, step := range r.steps {
			command := w.mask.String(step.Container.CommandLine("docker", r.keptAs(step)))
			fmt.Fprintf(w.stdout, "# the test, whose container is kept when it passes\n%s\n", cleanLines(command))
		}
	}
	for _, one := range r.deploys {
		text, err := deploy.ByHand(one, here, deploy.KeptName(r.suite.Name, one.From))
		if err != nil {
			return fmt.Errorf("deploy %s: %w", one.Name, err)
		}
		fmt.Fprint(w.stdout, cleanLines(w.mask.String(text)))
	}
	return nil
}
