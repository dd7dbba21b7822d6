package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/report"
)

// ErrNoneKept is the error of LastKept if no container is kept.
var ErrNoneKept = errors.New("no container is kept")

// Origin is where a kept container comes from.
type Origin struct {
	Logs    string // the suite's folder of logs: another suite of the same name has another
	Machine string // the one that the folder is on
	Suite   string
	Step    string
}

// Last is a container that was kept after its step passed in it.
type Last struct {
	container.Summary
	ImageID string // that it was created from; empty: not known
}

// LastKept returns the newest container that a run kept after the step passed in it, with the
// name, the ID, the exit status and the time of its end that the run noted (ErrNoneKept). If the
// container was started again since, what it holds now is not what was tested: that is an error,
// and no older container takes its place.
func LastKept(ctx context.Context, e Executor, k Keeper, from Origin) (Last, error) {
	ours, err := e.Containers(ctx, map[string]string{LabelMachine: from.Machine, LabelSuite: from.Suite, LabelStep: from.Step})
	if err != nil {
		return Last{}, fmt.Errorf("look for kept containers: %w", err)
	}
	slices.SortFunc(ours, func(a, b container.Summary) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	for _, c := range ours {
		if c.Name != c.Labels[LabelKeep] || !sameFolder(filepath.Dir(c.Labels[LabelRun]), from.Logs) {
			continue
		}
		switch what, err := recognize(c, from.Machine); {
		case err != nil:
			return Last{}, fmt.Errorf("look at the kept container %s: %w", c.Name, err)
		case what == kept:
			return unchanged(ctx, k, c)
		}
	}
	return Last{}, ErrNoneKept
}

// sameFolder reports whether two paths lead to the same folder.
func sameFolder(a, b string) bool {
	if a == b {
		return true
	}
	there, errA := os.Stat(a)
	here, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(there, here)
}

// unchanged returns a kept container if the engine's account of its end is that of its run.
func unchanged(ctx context.Context, k Keeper, c container.Summary) (Last, error) {
	if k == nil {
		return Last{}, errNoKeeper
	}
	now, exit, err := k.Inspect(ctx, c.ID)
	if err != nil {
		return Last{}, fmt.Errorf("look at the kept container %s: %w", c.Name, err)
	}
	tested, err := endOf(c)
	if err != nil {
		return Last{}, fmt.Errorf("look at the kept container %s: %w", c.Name, err)
	}
	if why := tested.differs(now, exit); why != "" {
		return Last{}, hint.Errorf("run the test again; look into a container that is kept with docker cp or docker diff, or commit it and start a copy",
			"the container %s was tested, but %s: what it holds now was not tested", c.Name, why)
	}
	return Last{c, cmp.Or(tested.imageID, exit.ImageID)}, nil
}

// endSlack is how far the engine's clock may be from ours where a run noted no end by it.
const endSlack = 5 * time.Second

// end is how and when the container of a step that passed ended, by the notes of its run.
type end struct {
	imageID  string
	status   int
	from, to time.Time // by the engine's clock; equal if the time was noted
}

// endOf returns how a kept container ended. Versions that noted nothing recorded when the step ran.
func endOf(c container.Summary) (end, error) {
	folder := c.Labels[LabelRun]
	note, ok, err := history.ReadKept(filepath.Dir(folder), c.ID)
	if err != nil || ok {
		return end{note.ImageID, note.ExitStatus, note.Finished, note.Finished}, err
	}
	run, err := history.OpenFolder(folder)
	if err != nil {
		return end{}, hint.Errorf("run the test again", "nothing is known of its end: an earlier version kept it, and the record of its run is gone: %w", err)
	}
	for _, step := range run.Steps {
		if step.Name == c.Labels[LabelStep] && step.Outcome == report.Passed {
			return end{step.ImageID, 0, step.Started.Add(-endSlack), step.Started.Add(time.Duration(step.Duration)).Add(endSlack)}, nil
		}
	}
	return end{}, hint.Errorf("run the test again", "the record of its run does not say that %s passed", c.Labels[LabelStep])
}

// differs returns how what the engine says of a container differs from e; empty: not at all.
func (e end) differs(now container.Summary, exit container.Exit) string {
	switch {
	case now.Running():
		return "it was started again, and is " + now.State
	case exit.Finished.Before(e.from) || exit.Finished.After(e.to):
		return "it was started again after its test, and ended at " + exit.Finished.Local().Format(time.DateTime)
	case exit.Code != e.status:
		return fmt.Sprintf("it ended with exit status %d", exit.Code)
	case e.imageID != "" && exit.ImageID != e.imageID:
		return "it was made of another image"
	}
	return ""
}
