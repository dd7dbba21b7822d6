package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"runtests/pkg/container"
	"runtests/pkg/suite"
)

// Unsupported is a setting that an executor cannot honour, and the steps that have it.
type Unsupported struct {
	container.Unsupported
	Steps []string
}

// Error says which setting it is, why it cannot be honoured, and which steps have it.
func (u *Unsupported) Error() string {
	return fmt.Sprintf("%s of %s: %s", u.Setting, someOf(u.Steps), u.Reason)
}

// Hint returns the remedy.
func (u *Unsupported) Hint() string { return u.Remedy }

// Note returns a sentence for a setting that is ignored.
func (u *Unsupported) Note() string {
	return fmt.Sprintf("the engine ignores %v; %s", u, u.Remedy)
}

// UnsupportedError lists the settings with which steps do not start.
type UnsupportedError []*Unsupported

// Error prints a setting per line, each with its remedy under it.
func (e UnsupportedError) Error() string {
	var lines []string
	for _, u := range e {
		lines = append(lines, u.Error())
		if u.Remedy != "" {
			lines = append(lines, "  "+u.Remedy)
		}
	}
	return strings.Join(lines, "\n")
}

// CheckSteps asks an executor, before anything runs, which settings of the steps it cannot
// honour. Those that it ignores are returned. Those with which a step does not start are the
// error, an UnsupportedError; any other error says that the executor could not be asked.
func CheckSteps(ctx context.Context, e Executor, steps []suite.Step) (ignored []*Unsupported, err error) {
	var all []*Unsupported
	for _, step := range steps {
		found, err := e.Check(ctx, step.Container)
		if err != nil {
			return nil, fmt.Errorf("ask which settings can be honoured: %w", err)
		}
		for _, one := range found {
			all = addUnsupported(all, one, step.Name)
		}
	}
	var refused UnsupportedError
	for _, u := range all {
		if u.Ignored {
			ignored = append(ignored, u)
		} else {
			refused = append(refused, u)
		}
	}
	if len(refused) > 0 {
		return ignored, refused
	}
	return ignored, nil
}

// addUnsupported adds a step to the entry for one, or a new entry.
func addUnsupported(all []*Unsupported, one container.Unsupported, step string) []*Unsupported {
	i := slices.IndexFunc(all, func(u *Unsupported) bool { return u.Unsupported == one })
	if i < 0 {
		return append(all, &Unsupported{one, []string{step}})
	}
	if u := all[i]; !slices.Contains(u.Steps, step) {
		u.Steps = append(u.Steps, step)
	}
	return all
}

// maxNamed is how many names a sentence lists.
const maxNamed = 3

// someOf returns the first of the names, and how many more there are.
func someOf(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}
