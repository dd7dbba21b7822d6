package runner

import (
	"context"
	"fmt"
	"strings"

	"runtests/pkg/container"
)

// The labels on every container that a run creates. Nothing without LabelRun is
// ever stopped, renamed or removed.
const (
	LabelRun     = "runtests.run"     // the run's folder, absolute
	LabelMachine = "runtests.machine" // the machine that the folder is on
	LabelSuite   = "runtests.suite"
	LabelStep    = "runtests.step"
	LabelKeep    = "runtests.keep"   // the name to keep it by
	LabelCommit  = "runtests.commit" // of one to keep: the git commit of the test's directory, with -dirty when that has changes of its own
)

// Leftovers lists the containers of this machine that dead runs left: those whose run is
// not alive any more. Kept containers are not among them, nor is one that waits, put
// aside, for its name.
func Leftovers(ctx context.Context, e Executor, machine string, alive func(folder string) (bool, error)) (left []container.Summary, errs []error) {
	return visit(ctx, e, machine, func(c container.Summary) (bool, error) {
		_, aside := putAside(c)
		dead, err := leftover(c, alive)
		return dead && !aside, err
	})
}

// Sweep removes the containers that dead runs of this machine left (see Leftovers); one
// that was put aside for a successor that never took its name gets it back. It returns
// what it removed and what went wrong, after which it goes on.
func Sweep(ctx context.Context, e Executor, k Keeper, machine string, alive func(folder string) (bool, error)) (removed []container.Summary, errs []error) {
	return visit(ctx, e, machine, func(c container.Summary) (bool, error) { return sweepOne(ctx, e, k, c, alive) })
}

// visit returns the containers of this machine for which do says so.
func visit(ctx context.Context, e Executor, machine string, do func(container.Summary) (bool, error)) (done []container.Summary, errs []error) {
	ours, err := e.Containers(ctx, map[string]string{LabelMachine: machine})
	if err != nil {
		return nil, []error{fmt.Errorf("look for what earlier runs left: %w", err)}
	}
	for _, c := range ours {
		yes, err := do(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("container %s of an earlier run: %w", c.Name, err))
		}
		if yes {
			done = append(done, c)
		}
	}
	return done, errs
}

// leftover says that c is the container of a run that is not alive, and not kept.
func leftover(c container.Summary, alive func(string) (bool, error)) (bool, error) {
	folder, ours := c.Labels[LabelRun]
	if !ours || kept(c) {
		return false, nil
	}
	living, err := alive(folder)
	return !living && err == nil, err
}

func sweepOne(ctx context.Context, e Executor, k Keeper, c container.Summary, alive func(string) (bool, error)) (removed bool, err error) {
	if dead, err := leftover(c, alive); !dead || err != nil {
		return false, err
	}
	if name, ok := putAside(c); ok {
		if k == nil {
			return false, errKeepsNone
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

// kept says that c has the name that it was to be kept by.
func kept(c container.Summary) bool {
	name, ok := c.Labels[LabelKeep]
	return ok && (c.Name == name || c.Name == name+failedSuffix)
}

// putAside returns the name that c had before another one was about to take it.
func putAside(c container.Summary) (name string, ok bool) {
	keep, labelled := c.Labels[LabelKeep]
	if name, ok = strings.CutSuffix(c.Name, previousSuffix); !labelled || !ok {
		return "", false
	}
	return name, name == keep || name == keep+failedSuffix
}
