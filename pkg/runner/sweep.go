package runner

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/history"
)

// Leftovers lists the containers that dead runs of this machine left. Kept containers are not among
// them, nor are those that Sweep would give their name back, nor what is not provably ours.
func Leftovers(ctx context.Context, e Executor, machine string, alive func(folder string) (bool, error)) (left []container.Summary, errs []error) {
	return selectOurs(ctx, e, machine, func(c container.Summary) (bool, error) {
		what, err := leftover(c, machine, alive)
		return what == created, err
	})
}

// Sweep removes the containers that dead runs of this machine left (see Leftovers). A kept
// container that was put aside for a successor which never took its name gets the name back. Sweep
// returns what it removed; it goes on after an error, and returns all errors.
func Sweep(ctx context.Context, e Executor, k Keeper, machine string, alive func(folder string) (bool, error)) (removed []container.Summary, errs []error) {
	return selectOurs(ctx, e, machine, func(c container.Summary) (bool, error) { return sweepOne(ctx, e, k, machine, c, alive) })
}

// selectOurs returns the containers of this machine for which wanted returns true, and all errors.
func selectOurs(ctx context.Context, e Executor, machine string, wanted func(container.Summary) (bool, error)) (selected []container.Summary, errs []error) {
	ours, err := e.Containers(ctx, map[string]string{LabelMachine: machine})
	if err != nil {
		return nil, []error{fmt.Errorf("list the containers of earlier runs: %w", err)}
	}
	for _, c := range ours {
		ok, err := wanted(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("container %s of an earlier run: %w", c.Name, err))
		}
		if ok {
			selected = append(selected, c)
		}
	}
	return selected, errs
}

// leftover returns what c is, if it is ours, its run is not alive, and it is not kept; otherwise it
// returns foreign.
func leftover(c container.Summary, machine string, alive func(string) (bool, error)) (identity, error) {
	what, err := recognize(c, machine)
	if err != nil || what == foreign || what == kept {
		return foreign, err
	}
	if living, err := alive(c.Labels[LabelRun]); living || err != nil {
		return foreign, err
	}
	return what, nil
}

// sweepOne removes c if it is a leftover, or gives it back the name that it was to be kept under.
func sweepOne(ctx context.Context, e Executor, k Keeper, machine string, c container.Summary, alive func(string) (bool, error)) (removed bool, err error) {
	what, err := leftover(c, machine, alive)
	if what == foreign || err != nil {
		return false, err
	}
	if what == putAside {
		if k == nil {
			return false, errNoKeeper
		}
		name := strings.TrimSuffix(c.Name, previousSuffix)
		if _, taken, err := k.ContainerNamed(ctx, name); err != nil {
			return false, err
		} else if !taken {
			return false, k.Rename(ctx, c.ID, name)
		}
	}
	if err := remove(ctx, e, c); err != nil {
		return false, err
	}
	return true, nil
}

// remove removes a container of ours, and what its run noted of it.
func remove(ctx context.Context, e Executor, c container.Summary) error {
	if err := e.Remove(ctx, c.ID); err != nil {
		return err
	}
	_ = history.ForgetKept(filepath.Dir(c.Labels[LabelRun]), c.ID) // an ID is never given again
	return nil
}
