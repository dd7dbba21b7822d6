package history

import (
	"fmt"
	"path"
	"strings"

	"runtests/pkg/hint"
	"runtests/pkg/report"
)

// CurrentSteps returns the names of the suite's steps as of its last run: those of the last run of the whole
// suite, and of the partial runs since.
func (h *History) CurrentSteps() []string {
	var names []string
	seen := map[string]bool{}
	for i := range h.Runs {
		for j := range h.Runs[i].Steps {
			if name := h.Runs[i].Steps[j].Name; !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		if !h.Runs[i].Partial {
			break
		}
	}
	return names
}

// NotPassed reports whether the step did not pass in the last run that had it.
func (h *History) NotPassed(step string) bool {
	last := h.Step(step).Last
	return last != "" && last != report.Passed
}

// MatchingSteps returns the steps that match pattern: the name of a step or a test, or a glob over either. An
// empty pattern matches the current steps. The error wraps ErrNoRun if no run had such a step.
func (h *History) MatchingSteps(pattern string) ([]string, error) {
	if pattern == "" {
		return h.CurrentSteps(), nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("find the steps %q: %w", pattern, err)
	}
	var names []string
	for name := range h.steps {
		if matches(pattern, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, hint.Errorf("runtests history lists all steps", "find the history of %q: %w: none had such a step", pattern, ErrNoRun)
	}
	return names, nil
}

// matches reports whether pattern is the name of the step or of its test, or a glob over either.
func matches(pattern, step string) bool {
	test, _, _ := strings.Cut(step, "@")
	for _, name := range []string{step, test} {
		if matched, _ := path.Match(pattern, name); matched || pattern == name {
			return true
		}
	}
	return false
}
