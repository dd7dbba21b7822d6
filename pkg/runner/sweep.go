package runner

import (
	"context"
	"fmt"
	"strings"

	"runtests/pkg/container"
)

// The labels on every container that a run creates. A container without LabelRun is never stopped,
// renamed or removed.
const (
	LabelRun     = "runtests.run"     // the run's folder, absolute
	LabelMachine = "runtests.machine" // the machine that the folder is on
	LabelSuite   = "runtests.suite"
	LabelStep    = "runtests.step"
	LabelKeep    = "runtests.keep"   // the name under which to keep it
	LabelCommit  = "runtests.commit" // of a container to keep: the git commit of the test's directory, then -dirty if it has uncommitted changes, -untrusted if tests can write the repository
)

// Leftovers lists the containers that dead runs of this machine left. Kept containers are not among
// them, nor are those that Sweep would give their name back.
func Leftovers(ctx context.Context, e Executor, machine string, alive func(folder string) (bool, error)) (left []container.Summary, errs []error) {
	return selectOurs(ctx, e, machine, func(c container.Summary) (bool, error) {
		_, aside := putAside(c)
		left, err := isLeftover(c, alive)
		return left && !aside, err
	})
}

// Sweep removes the containers that dead runs of this machine left (see Leftovers). A kept
// container that was put aside for a successor which never took its name gets the name back. Sweep
// returns what it removed; it goes on after an error, and returns all errors.
func Sweep(ctx context.Context, e Executor, k Keeper, machine string, alive func(folder string) (bool, error)) (removed []container.Summary, errs []error) {
	return selectOurs(ctx, e, machine, func(c container.Summary) (bool, error) { return sweepOne(ctx, e, k, c, alive) })
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

// isLeftover reports whether c belongs to a run that is not alive, and is not kept.
func isLeftover(c container.Summary, alive func(string) (bool, error)) (bool, error) {
	folder, ours := c.Labels[LabelRun]
	if !ours || isKept(c) {
		return false, nil
	}
	living, err := alive(folder)
	return !living && err == nil, err
}

// sweepOne removes c if it is a leftover, or gives it back the name that it was to be kept under.
func sweepOne(ctx context.Context, e Executor, k Keeper, c container.Summary, alive func(string) (bool, error)) (removed bool, err error) {
	if left, err := isLeftover(c, alive); !left || err != nil {
		return false, err
	}
	if name, ok := putAside(c); ok {
		if k == nil {
			return false, errNoKeeper
		}
		if _, taken, err := k.ContainerNamed(ctx, name); err != nil {
			return false, err
		} else if !taken {
			return false, k.Rename(ctx, c.ID, name)
		}
	}
	if err := e.Remove(ctx, c.ID); err != nil {
		return false, err
	}
	return true, nil
}

// isKept reports whether c has the name under which it was to be kept.
func isKept(c container.Summary) bool {
	name, ok := c.Labels[LabelKeep]
	return ok && (c.Name == name || c.Name == name+failedSuffix)
}

// putAside returns the name that c had before it was put aside; ok is false if it was not.
func putAside(c container.Summary) (name string, ok bool) {
	keep, labelled := c.Labels[LabelKeep]
	if name, ok = strings.CutSuffix(c.Name, previousSuffix); !labelled || !ok {
		return "", false
	}
	return name, name == keep || name == keep+failedSuffix
}
