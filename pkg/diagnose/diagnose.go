// Package diagnose finds out why a test fails that passed before, by experiment: it runs the
// test again as it is, on the image that it last passed on, and with the files that it last
// passed with, and says what it is when one of them passes. What could not be tried is told,
// and nothing is guessed.
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
	Index  int            // of the step in the run
	Step   suite.Step     // as it was run
	Failed report.Result  // how it failed
	Passed history.Pass   // when it last passed
	Tree   worktree.State // of its directory, when the run began; zero: it is in no git work tree
}

// Lab is what the experiments need.
type Lab interface {
	// Try runs the step once more; the error says that this proves nothing.
	Try(ctx context.Context, t runner.Trial) (report.Trial, error)
	// Image returns the name by which a person finds the image of that ID (container.ErrNoImage).
	Image(ctx context.Context, id string) (name string, err error)
	// Packages returns what is not installed in both images alike.
	Packages(ctx context.Context, before, after string) ([]report.PackageChange, error)
	// Work makes a folder on this machine, which the finder removes.
	Work() (path string, err error)
	// Conclude records the verdict of the step of that index.
	Conclude(index int, verdict report.Verdict) error
}

// Finder finds the causes of failures.
type Finder struct {
	Lab    Lab
	CLI    string // the command a person would type: docker, podman
	Remote bool   // the engine is on another machine: it does not see the files of this one
}

// A TimeoutError is the cause of the context of a diagnosis whose time is over.
type TimeoutError struct{ Limit time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the time of %s to find causes was over (diagnose_timeout)", report.Duration(e.Limit))
}

// Wanted says that the cause of a step's failure is to be looked for: it is a test that fails
// newly, and it came to an end that tells something of it.
func Wanted(result report.Result) bool {
	return result.Kind == report.Test && result.Outcome != report.Passed && runner.Ran(result) &&
		result.Trend != nil && result.Trend.Change == report.NewlyFailing && result.Trend.Passed != ""
}

// Find looks for the causes of cases, one after the other, the quickest test first: a slow
// one does not take the time of all. When ctx ends, the verdicts of the rest say why. The
// error says that verdicts could not be recorded.
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

// finding is what an experiment says.
type finding int

const (
	untold finding = iota // it could not be made
	same                  // there is nothing to try: it is what it was
	passes
	fails
	both // of the files: they fail alone, and pass on the old image
)

// told is a finding with its reason, when there is one.
type told struct {
	finding
	why string // it is untold
}

// inquiry is the diagnosis of one case.
type inquiry struct {
	*Finder
	Case
	verdict report.Verdict
}

// inquire makes the experiments and sets the verdict. An experiment that proves nothing
// ends it: the ones after it would not either.
func (i *inquiry) inquire(ctx context.Context) {
	if err := i.experiment(ctx); err != nil {
		i.verdict.Word, i.verdict.Reason = "", "no cause was found: "+err.Error()
	}
}

// together is the reason of a verdict when neither the old image nor the old files alone make
// the test pass. Its word is code: that is what the reader can change.
const together = "code and dependencies together: it passes with the files and on the image that it last passed with, and with neither of them alone"

// again is what is tried first.
const again = "again, as it was"

func (i *inquiry) experiment(ctx context.Context) error {
	switch first, err := i.try(ctx, again, i.today()); {
	case err != nil:
		return err
	case first == passes:
		i.verdict.Word = report.Flaky
		return nil
	}
	image, before, err := i.image(ctx)
	if err != nil {
		return err
	}
	if image.finding == passes {
		if i.sure(ctx, report.Dependencies, "") {
			i.packages(ctx)
		}
		return nil
	}
	files, err := i.files(ctx, before, image.finding == fails)
	if err != nil {
		return err
	}
	switch files.finding {
	case passes:
		if i.sure(ctx, report.Code, i.uncommitted()) {
			i.commits(ctx)
		}
	case both:
		if i.sure(ctx, report.Code, together) {
			i.commits(ctx)
			i.packages(ctx)
		}
	default:
		i.verdict.Word, i.verdict.Reason = rest(image, files)
	}
	return nil
}

// rest is the verdict when nothing that was tried passes.
func rest(image, files told) (report.Cause, string) {
	if image.finding == same && files.finding == same {
		return report.Environment, "the image and the files are those that it last passed with; something around it has changed, or the time"
	}
	if image.finding != untold && files.finding != untold {
		return report.Environment, ""
	}
	parts := map[finding]string{same: "the image is the one that it last passed on", fails: "it fails on the image that it last passed on, too", untold: image.why}
	text := parts[image.finding]
	parts = map[finding]string{same: "the files are those that it last passed with", fails: "it fails with the files that it last passed with, too", untold: files.why}
	return "", "no cause was found: " + text + "; " + parts[files.finding]
}

// attempt is what is tried: the step, and how a person does the same.
type attempt struct {
	step    suite.Step
	command string
	commit  string
}

// today is the step as it was run: the image by its ID, as its name may be another's by now.
func (i *inquiry) today() attempt { return i.on(i.Step, i.Failed.ImageID, i.Step.Container.Image) }

// on is a step on an image.
func (i *inquiry) on(step suite.Step, id, name string) attempt {
	step.Container.Image = name
	command := step.Container.CommandLine(i.CLI, "")
	if id != "" {
		step.Container.Image = id
	}
	return attempt{step: step, command: command}
}

// try carries out a trial, and notes it.
func (i *inquiry) try(ctx context.Context, how string, a attempt) (finding, error) {
	if err := context.Cause(ctx); err != nil {
		return untold, err
	}
	trial, err := i.Lab.Try(ctx, runner.Trial{Index: i.Index, Number: len(i.verdict.Tried) + 1, How: how, Step: a.step, Command: a.command})
	trial.Commit = a.commit
	i.verdict.Tried = append(i.verdict.Tried, trial)
	switch {
	case err != nil:
		return untold, fmt.Errorf("it could not be run %s: %w", how, err)
	case trial.Outcome == report.Passed:
		return passes, nil
	}
	return fails, nil
}

// oldImage is the image that the test last passed on.
type oldImage struct{ id, name string }

// image tries the image that the test last passed on.
func (i *inquiry) image(ctx context.Context) (told, oldImage, error) {
	old := oldImage{id: i.Passed.ImageID}
	switch {
	case old.id == "" || i.Failed.ImageID == "":
		return told{untold, "which image it last passed on is not known"}, old, nil
	case old.id == i.Failed.ImageID:
		return told{finding: same}, old, nil
	}
	name, err := i.Lab.Image(ctx, old.id)
	switch {
	case errors.Is(err, container.ErrNoImage):
		return told{untold, "the image that it last passed on is not there any more"}, old, nil
	case err != nil:
		return told{}, old, err
	}
	old.name = name
	found, err := i.try(ctx, i.onOld(), i.on(i.Step, old.id, old.name))
	return told{finding: found}, old, err
}

func (i *inquiry) onOld() string {
	return "on the image of " + i.Passed.Started.Local().Format(time.DateTime)
}

// assurance is what is tried last: that a test passes proves nothing of its circumstances
// when it passes without them, too.
const assurance = "once more as it was, to be sure"

// sure sets the verdict after an experiment that passed, unless the test then passes as it
// was, too.
func (i *inquiry) sure(ctx context.Context, word report.Cause, reason string) bool {
	how := i.verdict.Tried[len(i.verdict.Tried)-1].What
	if found, _ := i.try(ctx, assurance, i.today()); found == passes {
		i.verdict.Word, i.verdict.Reason = report.Flaky, "it passed "+how+", and then as it was, too"
		return false
	}
	i.verdict.Word, i.verdict.Reason = word, reason
	return true
}
