// Package diagnose finds by experiment why a test fails that passed before. It runs the test again
// unchanged, on the last image it passed on, and with the last files it passed with; the experiment
// that passes shows the cause. The verdict says what could not be tried, and nothing is guessed.
package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/history"
	"runtests/pkg/report"
	"runtests/pkg/runner"
	"runtests/pkg/suite"
	"runtests/pkg/worktree"
)

// Case is a test that fails newly.
type Case struct {
	Index  int              // the index of the step in the run
	Step   suite.Step       // as it was run
	Failed report.Result    // how it failed
	Passed history.LastPass // how it last passed
	Tree   worktree.State   // the state of its directory when the run began; zero: in no git work tree
}

// Lab is what the experiments need.
type Lab interface {
	// Try runs the step once more. It returns an error if the trial proves nothing.
	Try(ctx context.Context, t runner.Trial) (report.Trial, error)
	// Image returns the name by which a person finds the image of that ID (container.ErrNoImage).
	Image(ctx context.Context, id string) (name string, err error)
	// Packages returns the packages that differ between two images, by ID.
	Packages(ctx context.Context, before, after string) ([]report.PackageChange, error)
	// Work makes a temporary folder on this machine. The caller removes it.
	Work() (path string, err error)
	// Conclude records the verdict about the step with that index.
	Conclude(index int, verdict report.Verdict) error
}

// Finder finds the causes of failures.
type Finder struct {
	Lab    Lab
	Trees  worktree.Trees
	CLI    string // the command that a person types: docker, podman
	Remote bool   // the engine is on another machine, so it cannot mount files of this machine
}

// A TimeoutError is the cause of a context when the time for diagnosis is over.
type TimeoutError struct{ Limit time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the time of %s to find causes was over (diagnose_timeout)", report.Duration(e.Limit))
}

// Wanted reports whether to look for the cause of a result: it is a new failure of a test, which ran
// to an end that is evidence about the test.
func Wanted(result report.Result) bool {
	return result.Kind == report.KindTest && result.Outcome != report.Passed && runner.Ran(result) &&
		result.Trend != nil && result.Trend.Change == report.NewlyFailing && result.Trend.LastPassed != ""
}

// Find looks for the causes of cases one after the other, the quickest test first, so that a slow test
// does not use up the time. When ctx ends, the verdicts of the remaining cases say why. An error
// means that verdicts could not be recorded.
func (f *Finder) Find(ctx context.Context, cases []Case) error {
	cases = slices.Clone(cases)
	slices.SortStableFunc(cases, func(a, b Case) int { return cmp.Compare(a.Failed.Duration, b.Failed.Duration) })
	var errs []error
	for _, c := range cases {
		i := inquiry{Finder: f, Case: c}
		i.inquire(ctx)
		if err := f.Lab.Conclude(c.Index, i.verdict); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// finding is the outcome of an experiment.
type finding int

const (
	unknown finding = iota // the experiment could not be made
	same                   // there is nothing to try: nothing has changed
	passes
	fails
	both // the old files fail, but pass on the old image
)

// answer is a finding with its reason.
type answer struct {
	finding
	why string // the reason for unknown
}

// inquiry is the diagnosis of one case.
type inquiry struct {
	*Finder
	Case
	verdict report.Verdict
}

// inquire makes the experiments and sets the verdict. If an experiment proves nothing, the later ones
// would not either: inquire ends.
func (i *inquiry) inquire(ctx context.Context) {
	if err := i.experiment(ctx); err != nil {
		i.verdict.Cause, i.verdict.Reason = "", "no cause was found: "+err.Error()
	}
}

// together is the reason of a verdict if the test passes only on the old image with the old files. The
// cause is reported as code, which is what the reader can change.
const together = "code and dependencies together: it passes on the last image and with the last files it passed with, but not with only one of them"

// again names the first experiment.
const again = "again, unchanged"

func (i *inquiry) experiment(ctx context.Context) error {
	switch first, err := i.try(ctx, again, i.unchanged()); {
	case err != nil:
		return err
	case first == passes:
		i.verdict.Cause = report.Flaky
		return nil
	}
	image, old, err := i.tryImage(ctx)
	if err != nil {
		return err
	}
	if image.finding == passes {
		if i.confirm(ctx, report.Dependencies, "") {
			i.addPackages(ctx)
		}
		return nil
	}
	files, err := i.tryFiles(ctx, old, image.finding == fails)
	if err != nil {
		return err
	}
	switch files.finding {
	case passes:
		if i.confirm(ctx, report.Code, i.uncommitted()) {
			i.addCommits(ctx)
		}
	case both:
		if i.confirm(ctx, report.Code, together) {
			i.addCommits(ctx)
			i.addPackages(ctx)
		}
	default:
		i.verdict.Cause, i.verdict.Reason = noPass(image, files)
	}
	return nil
}

// noPass returns the verdict if no experiment passes.
func noPass(image, files answer) (report.Cause, string) {
	if image.finding == same && files.finding == same {
		return report.Environment, "the image and the files are the ones it last passed with; something around it has changed, or the time"
	}
	if image.finding != unknown && files.finding != unknown {
		return report.Environment, ""
	}
	parts := map[finding]string{same: "the image is the one it last passed on", fails: "it also fails on the last image it passed on", unknown: image.why}
	text := parts[image.finding]
	parts = map[finding]string{same: "the files are the ones it last passed with", fails: "it also fails with the last files it passed with", unknown: files.why}
	return "", "no cause was found: " + text + "; " + parts[files.finding]
}

// attempt is a step to try, with the command that does the same by hand.
type attempt struct {
	step    suite.Step
	command string
	commit  string // the commit whose files it uses; empty: the files as they are
}

// unchanged returns the step as it was run, with the image by its ID: another image may have the name
// by now.
func (i *inquiry) unchanged() attempt {
	return i.onImage(i.Step, i.Failed.ImageID, i.Step.Container.Image)
}

// onImage returns a step on an image.
func (i *inquiry) onImage(step suite.Step, id, name string) attempt {
	step.Container.Image = name
	command := step.Container.CommandLine(i.CLI, "")
	if id != "" {
		step.Container.Image = id
	}
	return attempt{step: step, command: command}
}

// try carries out a trial and adds it to the verdict.
func (i *inquiry) try(ctx context.Context, how string, a attempt) (finding, error) {
	if err := context.Cause(ctx); err != nil {
		return unknown, err
	}
	trial, err := i.Lab.Try(ctx, runner.Trial{Index: i.Index, Number: len(i.verdict.Trials) + 1, How: how, Step: a.step, Command: a.command})
	trial.Commit = a.commit
	i.verdict.Trials = append(i.verdict.Trials, trial)
	switch {
	case err != nil:
		return unknown, fmt.Errorf("it could not be run %s: %w", how, err)
	case trial.Outcome == report.Passed:
		return passes, nil
	}
	return fails, nil
}

// oldImage is the last image the test passed on.
type oldImage struct{ id, name string }

// tryImage tries the last image the test passed on.
func (i *inquiry) tryImage(ctx context.Context) (answer, oldImage, error) {
	old := oldImage{id: i.Passed.ImageID}
	switch {
	case old.id == "" || i.Failed.ImageID == "":
		return answer{unknown, "the last image it passed on is not known"}, old, nil
	case old.id == i.Failed.ImageID:
		return answer{finding: same}, old, nil
	}
	name, err := i.Lab.Image(ctx, old.id)
	switch {
	case errors.Is(err, container.ErrNoImage):
		return answer{unknown, "the last image it passed on is gone"}, old, nil
	case err != nil:
		return answer{}, old, err
	}
	old.name = name
	found, err := i.try(ctx, i.onOld(), i.onImage(i.Step, old.id, old.name))
	return answer{finding: found}, old, err
}

// onOld names the experiment on the old image.
func (i *inquiry) onOld() string {
	return "on the image of " + i.Passed.Started.Local().Format(time.DateTime)
}

// control names the last experiment, which is made if another passed: that a test passes under other
// circumstances proves nothing if it then passes under the present ones, too.
const control = "in a control run, unchanged"

// confirm sets the verdict after an experiment that passed. If the test then passes unchanged, too,
// the verdict is flaky and confirm returns false.
func (i *inquiry) confirm(ctx context.Context, word report.Cause, reason string) bool {
	how := i.verdict.Trials[len(i.verdict.Trials)-1].What
	if found, _ := i.try(ctx, control, i.unchanged()); found == passes {
		i.verdict.Cause, i.verdict.Reason = report.Flaky, "it passed "+how+", and then in the control run, too"
		return false
	}
	i.verdict.Cause, i.verdict.Reason = word, reason
	return true
}
