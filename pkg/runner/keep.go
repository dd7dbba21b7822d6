package runner

import (
	"context"
	"errors"
	"fmt"

	"runtests/pkg/container"
	"runtests/pkg/hint"
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
func CheckKeep(ctx context.Context, k Keeper, name string) error {
	if err := container.CheckName(name); err != nil {
		return fmt.Errorf("keep the container: %w", err)
	}
	for _, name := range []string{name, name + failedSuffix} {
		if _, _, err := replaceable(ctx, k, name); err != nil {
			return err
		}
	}
	return nil
}

// errNoKeeper is the error of keeping a container without a Keeper.
var errNoKeeper = errors.New("containers cannot be kept here")

// replaceable returns the container of that name, if there is one. If it must not be replaced,
// because runtests did not create it or because it is running, that is an error.
func replaceable(ctx context.Context, k Keeper, name string) (container.Summary, bool, error) {
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
	if _, ours := old.Labels[LabelRun]; !ours {
		return old, true, nameTaken(name, "was not created by runtests", "choose another name, or remove it: docker rm "+name)
	}
	if old.Running() {
		return old, true, nameTaken(name, "is "+old.State, "stop it first: docker stop "+name)
	}
	return old, true, nil
}

// nameTaken returns the error of a container that must not be replaced.
func nameTaken(name, why, remedy string) error {
	return hint.Errorf(remedy, "keep the container as %q: a container of that name exists, and it %s", name, why)
}

// LastKept returns the newest container that was kept after the step of a suite passed in it; ok is
// false if there is none.
func LastKept(ctx context.Context, e Executor, machine, suite, step string) (last container.Summary, ok bool, err error) {
	ours, err := e.Containers(ctx, map[string]string{LabelMachine: machine, LabelSuite: suite, LabelStep: step})
	if err != nil {
		return last, false, fmt.Errorf("look for kept containers: %w", err)
	}
	for _, c := range ours {
		if c.Name == c.Labels[LabelKeep] && !c.Running() && (!ok || c.Created.After(last.Created)) {
			last, ok = c, true
		}
	}
	return last, ok, nil
}

// keep renames the container to keep it. If the test passed, but its container cannot be kept, the
// run did not do what was asked, and the step is broken.
func (r *Runner) keep(ctx context.Context, id, name string, result *report.Result) {
	if result.Outcome != report.Passed {
		name += failedSuffix
	}
	err := takeName(ctx, r.config.Executor, r.config.Keeper, id, name)
	if err == nil {
		result.Container = name
		return
	}
	if result.Outcome == report.Passed {
		setBroken(ctx, result, fmt.Errorf("the test passed, but its container could not be kept: %w", err))
	} else {
		addNote(result, "its container could not be kept: %v", err)
	}
	if err := r.config.Executor.Remove(ctx, id); err != nil {
		addNote(result, "its container is still there, the next run removes it: %v", err)
	}
}

// takeName renames the container to name. An older container of that name is put aside first and
// removed last, so that Sweep can restore its name if this is cut off.
func takeName(ctx context.Context, e Executor, k Keeper, id, name string) error {
	old, taken, err := replaceable(ctx, k, name)
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
	return e.Remove(ctx, old.ID)
}
