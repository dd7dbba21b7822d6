package runner

import (
	"context"
	"errors"
	"fmt"

	"runtests/pkg/container"
	"runtests/pkg/report"
	"runtests/pkg/suite"
)

// A kept container is CID when its test passed and CID-failed when it did not.
// While one container takes the name of another, the other is CID-previous.
const (
	failedSuffix   = "-failed"
	previousSuffix = "-previous"
)

// CheckKeep says whether a container can be kept under name at the end of a run,
// so that nobody learns after an hour that it cannot.
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

// errKeepsNone is the error of keeping a container where there is no Keeper.
var errKeepsNone = errors.New("what runs the steps gives its containers no names to keep them by")

// A nameTakenError is a container that has the name and is not to be replaced.
type nameTakenError struct{ name, why, hint string }

func (e *nameTakenError) Error() string {
	return fmt.Sprintf("keep the container as %q: there is one of that name already, and it %s", e.name, e.why)
}

// Hint says what to do about it.
func (e *nameTakenError) Hint() string { return e.hint }

// replaceable returns the container of that name, if there is one; it is an error
// if it must not be replaced: because it is not ours, or because it runs.
func replaceable(ctx context.Context, k Keeper, name string) (container.Summary, bool, error) {
	if k == nil {
		return container.Summary{}, false, errKeepsNone
	}
	old, ok, err := k.ContainerNamed(ctx, name)
	if err != nil {
		return old, false, fmt.Errorf("look for a container named %q: %w", name, err)
	}
	if !ok {
		return old, false, nil
	}
	if _, ours := old.Labels[LabelRun]; !ours {
		return old, true, &nameTakenError{name, "was not made by runtests", "choose another name, or remove it yourself: docker rm " + name}
	}
	if old.Running() {
		return old, true, &nameTakenError{name, "is " + old.State, "stop it first: docker stop " + name}
	}
	return old, true, nil
}

// keepAs is the name that the container of a step is to be kept by; empty: none.
func (r *Runner) keepAs(step suite.Step) string {
	if r.Keep == "" && r.KeepPassed != nil {
		return r.KeepPassed(step)
	}
	return r.Keep
}

// LastKept returns the container that was kept last of those in which the step of a suite
// passed; ok is false when there is none.
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

// keep gives the container the name to keep it by. A test that passed in a
// container that cannot be kept did not do what was asked: it is broken.
func (r *Runner) keep(ctx context.Context, id, name string, result *report.Result) {
	if result.Outcome != report.Passed {
		name += failedSuffix
	}
	err := take(ctx, r.Executor, r.Keeper, id, name)
	if err == nil {
		result.Container = name
		return
	}
	if result.Outcome == report.Passed {
		broken(ctx, result, fmt.Errorf("the test passed, but its container could not be kept: %w", err))
	} else {
		result.Notes = append(result.Notes, fmt.Sprintf("its container could not be kept: %v", err))
	}
	if err := r.Executor.Remove(ctx, id); err != nil {
		result.Notes = append(result.Notes, fmt.Sprintf("its container is still there, the next run removes it: %v", err))
	}
}

// take renames the container to name. The one that has the name is put aside
// first and removed last: whenever this is cut off, restore can bring it back.
func take(ctx context.Context, e Executor, k Keeper, id, name string) error {
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
