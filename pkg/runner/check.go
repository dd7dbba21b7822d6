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

// Error names the setting, the steps that have it, and the reason why it cannot be honoured.
func (u *Unsupported) Error() string {
	return fmt.Sprintf("%s of %s: %s", u.Setting, joinSome(u.Steps), u.Reason)
}

// Hint returns the remedy.
func (u *Unsupported) Hint() string { return u.Remedy }

// Note returns a sentence for a setting that is ignored.
func (u *Unsupported) Note() string {
	return fmt.Sprintf("the engine ignores %v; %s", u, u.Remedy)
}

// UnsupportedError lists the settings that keep steps from starting.
type UnsupportedError []*Unsupported

// Error lists a setting per line, each with its remedy under it.
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
// honour, and returns those that it ignores. If there are others, with which steps would not
// start, the error is an UnsupportedError.
func CheckSteps(ctx context.Context, e Executor, steps []suite.Step) (ignored []*Unsupported, err error) {
	var all []*Unsupported
	for _, step := range steps {
		found, err := e.Check(ctx, step.Container)
		if err != nil {
			return nil, fmt.Errorf("check the settings of %s: %w", step.Name, err)
		}
		for _, setting := range found {
			all = addUnsupported(all, setting, step.Name)
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

// addUnsupported adds a step to the entry of a setting, or a new entry.
func addUnsupported(all []*Unsupported, setting container.Unsupported, step string) []*Unsupported {
	i := slices.IndexFunc(all, func(u *Unsupported) bool { return u.Unsupported == setting })
	if i < 0 {
		return append(all, &Unsupported{setting, []string{step}})
	}
	if u := all[i]; !slices.Contains(u.Steps, step) {
		u.Steps = append(u.Steps, step)
	}
	return all
}

// maxNamed is how many names a sentence lists at most.
const maxNamed = 3

// joinSome lists the first names, and says how many more there are.
func joinSome(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}
