package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"runtests/pkg/container"
	"runtests/pkg/hint"
	"runtests/pkg/history"
	"runtests/pkg/report"
)

// A kept container is CID when its test passed and CID-failed when it did not.
// While a container takes the name of an older one, the older one is CID-previous.
const (
	failedSuffix   = "-failed"
	previousSuffix = "-previous"
)

// CheckKeep returns an error if a container cannot be kept under name at the end of a run, so that
// nobody learns that after an hour.
func CheckKeep(ctx context.Context, k Keeper, machine, name string) error {
	if err := container.CheckName(name); err != nil {
		return fmt.Errorf("keep the container: %w", err)
	}
	for _, name := range []string{name, name + failedSuffix} {
		if _, _, err := replaceable(ctx, k, machine, name); err != nil {
			return err
		}
	}
	return nil
}

// errNoKeeper is the error of keeping a container without a Keeper.
var errNoKeeper = errors.New("containers cannot be kept here")

// replaceable returns the container of that name, if there is one. If it must not be replaced,
// because no run of this machine kept it or because it is running, that is an error.
func replaceable(ctx context.Context, k Keeper, machine, name string) (container.Summary, bool, error) {
	if k == nil {
		return container.Summary{}, false, errNoKeeper
	}
	old, ok, err := k.ContainerNamed(ctx, name)
	if err != nil {
		return old, false, fmt.Errorf("look for a container named %q: %w", name, err)
	}
	if !ok {
		return old, false, nil
	}
	what, err := recognize(old, machine)
	if err != nil {
		return old, true, fmt.Errorf("look at the container %q: %w", name, err)
	}
	remove := "choose another name, or remove it: docker rm " + name
	switch {
	case what == kept && old.Running():
		return old, true, nameTaken(name, "is "+old.State, "stop it first: docker stop "+name)
	case what == kept:
		return old, true, nil
	case old.Labels[LabelRun] != "":
		return old, true, nameTaken(name, "is not one that a run here kept, though it has the labels of one", remove)
	}
	return old, true, nameTaken(name, "was not created by runtests", remove)
}

// nameTaken returns the error of a container that must not be replaced.
func nameTaken(name, why, remedy string) error {
	return hint.Errorf(remedy, "keep the container as %q: a container of that name exists, and it %s", name, why)
}

// keep notes the container and renames it to keep it. If the test passed, but its container cannot
// be kept, the run did not do what was asked, and the step is broken.
func (r *Runner) keep(ctx context.Context, exit container.Exit, c container.Container, result *report.Result) {
	name := c.Labels[LabelKeep]
	if result.Outcome != report.Passed {
		name += failedSuffix
	}
	err := r.noteAndRename(ctx, exit, c, name)
	if err == nil {
		result.Container = name
		r.removeFormer(ctx, c, result)
		return
	}
	if result.Outcome == report.Passed {
		setBroken(ctx, result, fmt.Errorf("the test passed, but its container could not be kept: %w", err))
	} else {
		addNote(result, "its container could not be kept: %v", err)
	}
	if err := remove(ctx, r.config.Executor, container.Summary{ID: exit.ID, Labels: c.Labels}); err != nil {
		addNote(result, "its container is still there, the next run removes it: %v", err)
	}
}

// noteAndRename notes the container before it has the name, so that no kept container is without a
// note.
func (r *Runner) noteAndRename(ctx context.Context, exit container.Exit, c container.Container, name string) error {
	err := history.NoteKept(filepath.Dir(r.config.Folder.Path), history.Kept{
		ID: exit.ID, Name: name, Run: filepath.Base(r.config.Folder.Path), Suite: c.Labels[LabelSuite], Step: c.Labels[LabelStep],
		Machine: r.config.Machine, ImageID: exit.ImageID, ExitStatus: exit.Code, Finished: exit.Finished,
	})
	if err != nil {
		return err
	}
	return takeName(ctx, r.config.Executor, r.config.Keeper, r.config.Machine, exit.ID, name)
}

// takeName renames the container to name. An older container of that name is put aside first and
// removed last, so that Sweep can restore its name if this is cut off.
func takeName(ctx context.Context, e Executor, k Keeper, machine, id, name string) error {
	old, taken, err := replaceable(ctx, k, machine, name)
	if err != nil {
		return err
	}
	if !taken {
		return k.Rename(ctx, id, name)
	}
	if err := k.Rename(ctx, old.ID, name+previousSuffix); err != nil {
		return err
	}
	if err := k.Rename(ctx, id, name); err != nil {
		return errors.Join(err, k.Rename(ctx, old.ID, name))
	}
	return remove(ctx, e, old)
}

// removeFormer removes the container that an earlier version kept for the same step of the same
// suite under its FormerName.
func (r *Runner) removeFormer(ctx context.Context, c container.Container, result *report.Result) {
	if r.config.Keep != "" || r.config.FormerName == nil {
		return
	}
	name := r.config.FormerName(c.Labels[LabelSuite], c.Labels[LabelStep])
	former, ok, err := r.config.Keeper.ContainerNamed(ctx, name)
	if err != nil || !ok || former.Running() || !sameOrigin(former, c.Labels) {
		return // the next run that passes tries again
	}
	if what, err := recognize(former, r.config.Machine); err != nil || what != kept {
		return
	}
	if err := remove(ctx, r.config.Executor, former); err != nil {
		addNote(result, "the container %s of an earlier version is still there, the next run removes it: %v", name, err)
	}
}

// sameOrigin reports whether a container was kept for the same step of the same suite, with the same
// folder of logs, as one with these labels.
func sameOrigin(c container.Summary, labels map[string]string) bool {
	return c.Labels[LabelSuite] == labels[LabelSuite] && c.Labels[LabelStep] == labels[LabelStep] &&
		filepath.Dir(c.Labels[LabelRun]) == filepath.Dir(labels[LabelRun])
}
