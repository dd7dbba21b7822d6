package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"runtests/pkg/deploy"
	"runtests/pkg/hint"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
	"runtests/pkg/transfer"
)

// openSites reaches production for the deployments that were named, before anything runs, so that
// nobody learns after an hour that it cannot be reached.
func (p *Pipeline) openSites(ctx context.Context) error {
	p.sites, p.sources = map[string]*deploy.Site{}, map[string]deploy.Sources{}
	for _, d := range p.deployments() {
		p.sources[d.Name] = deploy.ReadSources(d)
	}
	for _, d := range p.Deployments {
		if err := p.openSite(ctx, d); err != nil {
			return fmt.Errorf("deploy %s: %w", d.Name, err)
		}
	}
	return nil
}

func (p *Pipeline) openSite(ctx context.Context, d suite.Deployment) error {
	site, err := deploy.Open(ctx, d, deploy.Options{Here: p.engine.Info().Host, Sources: p.sources[d.Name], Generated: p.Suite.Trusted})
	if err != nil {
		return err
	}
	p.sites[d.Name] = site
	switch {
	case p.Last:
		_, err = p.lastKept(ctx, d)
	case p.Rollback:
		err = site.CheckRollback(ctx)
	}
	return err
}

func (p *Pipeline) closeSites() {
	for _, site := range p.sites {
		_ = site.Close() // nothing was written through it
	}
}

// keepPassed returns the name by which the container of a step is kept if the step passes, for the
// deployments that promote it; "" if there are none.
func (p *Pipeline) keepPassed(step suite.Step) string {
	if !slices.ContainsFunc(p.deployments(), func(d suite.Deployment) bool { return d.From == step.Name }) {
		return ""
	}
	return deploy.KeptName(p.Suite, MachineID(), step.Name)
}

// deployments returns the deployments that the run may end with: those that were named and, after a
// run of the whole suite, the automatic ones.
func (p *Pipeline) deployments() []suite.Deployment {
	if len(p.Deployments) > 0 || p.Partial {
		return p.Deployments
	}
	return slices.DeleteFunc(slices.Clone(p.Suite.Deployments), func(d suite.Deployment) bool { return !d.Auto })
}

// promote carries out the deployments as steps of run. All other steps have ended.
func (p *Pipeline) promote(ctx context.Context, run *report.Run) {
	blocker := firstNotPassed(run)
	deployments := p.deployments()
	first := len(run.Steps)
	for _, d := range deployments {
		run.Steps = append(run.Steps, p.plannedDeployment(d))
	}
	for i, d := range deployments {
		result := &run.Steps[first+i]
		switch {
		case ctx.Err() != nil:
			result.Outcome, result.Reason = report.Interrupted, "not started, as the run was interrupted: production is unchanged"
		case blocker != "":
			result.Outcome, result.BlockedBy = report.Blocked, blocker
			result.Reason = blocker + " did not pass: production is unchanged"
		default:
			p.promoteOne(ctx, d, run, result)
		}
	}
}

// firstNotPassed returns the name of the first step that did not pass, or "".
func firstNotPassed(run *report.Run) string {
	for _, step := range run.Steps {
		if step.Outcome != report.Passed {
			return step.Name
		}
	}
	return ""
}

func (p *Pipeline) plannedDeployment(d suite.Deployment) report.Result {
	how := " --last"
	if p.Rollback {
		how = " --rollback"
	}
	file := ""
	if p.Suite.File != "" {
		file = " -f " + p.Suite.File
	}
	return report.Result{Name: d.Name, Kind: report.KindDeploy, Image: deploy.Repository(d.Name), Command: p.Mask.String("runtests" + file + " deploy " + d.Name + how)}
}

// promoteOne carries out a deployment, and records its result in run.
func (p *Pipeline) promoteOne(ctx context.Context, d suite.Deployment, run *report.Run, result *report.Result) {
	result.Started = time.Now()
	if err := p.folder.Save(run); err != nil {
		p.Log.Warn(err)
	}
	log := newDeployLog(p.folder, d.Name)
	promoted, err := p.exchange(ctx, d, log)
	result.Duration = report.Duration(time.Since(result.Started))
	if promoted.Recovered != "" {
		result.Notes = append(result.Notes, promoted.Recovered)
	}
	result.Notes = append(result.Notes, promoted.Warnings...)
	judgeDeployment(ctx, err, result)
	result.Deployment = p.deploymentFacts(promoted, err)
	if err == nil {
		result.Image = deploy.Repository(d.Name) + ":" + promoted.Current.Tag
	}
	var failed *deploy.FailedError
	if errors.As(err, &failed) {
		log.writeVersion(failed.Log)
	}
	log.end(p.Suite.Lines, result)
	result.Mask(p.Mask)
	p.history.Judge(run, result)
	p.Console.Deployed(*result)
}

// deploymentFacts returns what the report says of a deployment that ended with err.
func (p *Pipeline) deploymentFacts(promoted deploy.Promoted, err error) *report.Deployment {
	facts := &report.Deployment{Host: promoted.Host, Outage: report.Duration(promoted.Outage), Bytes: promoted.Sent.Bytes}
	if err == nil {
		facts.Release, facts.Run, facts.Commit, facts.Previous = promoted.Current.Tag, promoted.Current.Run, promoted.Current.Commit, promoted.Previous.Tag
		facts.Handover, facts.RolledBack = promoted.Handover, p.Rollback
	}
	var failed *deploy.FailedError
	if errors.As(err, &failed) {
		facts.Outage = report.Duration(failed.Outage)
	}
	return facts
}

// exchange promotes the container that passed, or rolls back.
func (p *Pipeline) exchange(ctx context.Context, d suite.Deployment, log *deployLog) (deploy.Promoted, error) {
	site := p.sites[d.Name]
	if site == nil { // an automatic deployment
		if err := d.CheckFiles(); err != nil {
			return deploy.Promoted{}, err
		}
		var err error
		if site, err = deploy.Open(ctx, d, deploy.Options{Here: p.engine.Info().Host, Sources: p.sources[d.Name], Generated: p.Suite.Trusted}); err != nil {
			return deploy.Promoted{}, err
		}
		defer site.Close()
	}
	promoter := deploy.Promoter{
		From: p.engine,
		Now:  time.Now,
		Log: func(action string) {
			log.write(action)
			p.Console.Deploying(d.Name, p.Mask.Lines(action))
		},
		Progress: func(sent transfer.Progress) { p.Console.Transferring(d.Name, sent) },
	}
	if p.Rollback {
		return promoter.Rollback(ctx, site)
	}
	find := p.testedNow
	if p.Last {
		find = p.lastKept
	}
	candidate, err := find(ctx, d)
	if err != nil {
		return deploy.Promoted{}, err
	}
	promoter.Verify = func(ctx context.Context) error { // somebody may have started it meanwhile
		now, err := find(ctx, d)
		if err == nil && now.Container != candidate.Container {
			err = fmt.Errorf("the container in which %s passed was replaced during its promotion", d.From)
		}
		return err
	}
	return promoter.Promote(ctx, site, candidate)
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
	result.Reason, result.Hint = err.Error(), hint.Of(err)
}

// lastKept returns the container kept last in which the test of d passed.
func (p *Pipeline) lastKept(ctx context.Context, d suite.Deployment) (deploy.Candidate, error) {
	kept, err := runner.LastKept(ctx, p.engine, p.engine, runner.Origin{Logs: p.Suite.Logs, Machine: MachineID(), Suite: p.Suite.Name, Step: d.From})
	if errors.Is(err, runner.ErrNoneKept) {
		return deploy.Candidate{}, hint.Errorf("runtests deploy "+d.Name+" runs the test, and keeps its container", "no container is kept in which %s passed", d.From)
	}
	if err != nil {
		return deploy.Candidate{}, err
	}
	return candidateOf(kept), nil
}

// testedNow returns the container in which the test of d passed in this run.
func (p *Pipeline) testedNow(ctx context.Context, d suite.Deployment) (deploy.Candidate, error) {
	candidate, err := p.lastKept(ctx, d)
	if err == nil && candidate.Run != p.folder.ID {
		err = hint.Errorf("run it again", "the container in which %s passed in this run is gone: the one kept last is of the run %s", d.From, candidate.Run)
	}
	return candidate, err
}

// candidateOf describes a kept container.
func candidateOf(kept runner.Last) deploy.Candidate {
	return deploy.Candidate{
		Container: kept.ID, Run: filepath.Base(kept.Labels[runner.LabelRun]), Suite: kept.Labels[runner.LabelSuite], Step: kept.Labels[runner.LabelStep],
		Image: kept.ImageID, Commit: kept.Labels[runner.LabelCommit], Machine: HostName(),
	}
}
