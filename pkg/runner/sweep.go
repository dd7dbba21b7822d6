package runner

import (
	"context"
	"fmt"
	"strings"

	"runtests/pkg/engine"
)

// The labels on every container that a run creates. Nothing without LabelRun is
// ever stopped, renamed or removed.
const (
	LabelRun     = "runtests.run"     // the run's folder, absolute
	LabelMachine = "runtests.machine" // the machine that the folder is on
	LabelSuite   = "runtests.suite"
	LabelStep    = "runtests.step"
	LabelKeep    = "runtests.keep" // the name to keep it by
)

// Sweep removes the containers that dead runs of this machine left: those whose
// run is not alive any more. Kept containers stay; one that was put aside for a
// successor that never took its name gets it back. It returns what it removed and
// what went wrong, after which it goes on.
func Sweep(ctx context.Context, e Engine, machine string, alive func(folder string) (bool, error)) (removed []engine.Summary, errs []error) {
	ours, err := e.Containers(ctx, map[string]string{LabelMachine: machine})
	if err != nil {
		return nil, []error{fmt.Errorf("look for what earlier runs left: %w", err)}
	}
	for _, c := range ours {
		done, err := sweepOne(ctx, e, c, alive)
		if err != nil {
			errs = append(errs, fmt.Errorf("container %s of an earlier run: %w", c.Name, err))
		}
		if done {
			removed = append(removed, c)
		}
	}
	return removed, errs
}

func sweepOne(ctx context.Context, e Engine, c engine.Summary, alive func(string) (bool, error)) (removed bool, err error) {
	folder, ok := c.Labels[LabelRun]
	if !ok || kept(c) {
		return false, nil
	}
	if living, err := alive(folder); living || err != nil {
		return false, err
	}
	if name, ok := putAside(c); ok {
		if _, taken, err := e.ContainerNamed(ctx, name); err != nil {
			return false, err
		} else if !taken {
			return false, e.Rename(ctx, c.ID, name)
		}
	}
	if err := e.Remove(ctx, c.ID); err != nil {
		return false, err
	}
	return true, nil
}

// kept says that c has the name that it was to be kept by.
func kept(c engine.Summary) bool {
	name, ok := c.Labels[LabelKeep]
	return ok && (c.Name == name || c.Name == name+failedSuffix)
}

// putAside returns the name that c had before another one was about to take it.
func putAside(c engine.Summary) (name string, ok bool) {
	keep, labelled := c.Labels[LabelKeep]
	if name, ok = strings.CutSuffix(c.Name, previousSuffix); !labelled || !ok {
		return "", false
	}
	return name, name == keep || name == keep+failedSuffix
}
