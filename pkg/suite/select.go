package suite

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"runtests/pkg/hint"
	"runtests/pkg/nearest"
)

// TargetsError are the targets that do not name anything to run.
type TargetsError struct {
	Targets []string // as they were given
	Reasons []string // one for each target
	hints   []string
}

// Error returns the reasons, one a line.
func (e *TargetsError) Error() string { return strings.Join(e.Reasons, "\n") }

// Hint returns the remedies, one a line.
func (e *TargetsError) Hint() string { return strings.Join(e.hints, "\n") }

func (e *TargetsError) add(target string, err error) {
	e.Targets = append(e.Targets, target)
	e.Reasons = append(e.Reasons, err.Error())
	if remedy := hint.Of(err); remedy != "" && !slices.Contains(e.hints, remedy) {
		e.hints = append(e.hints, remedy)
	}
}

// Select returns the steps that the targets name, all of them without a target, in the
// suite's order and each once. A target is a test's name, a step's (TEST@IMAGE), a
// pattern over either as path.Match has it, or a test's directory, relative to wd. A
// directory with a test.sh that is not in the suite runs with the suite's defaults,
// after the others. If a target names nothing, the error is a *TargetsError.
func (s *Suite) Select(targets []string, wd string) ([]Step, error) {
	chosen := make([]bool, len(s.Steps))
	var more []Step
	var wrong TargetsError
	for _, target := range targets {
		if s.choose(target, wd, chosen) {
			continue
		}
		steps, err := s.newcomer(target, wd, more)
		if err != nil {
			wrong.add(target, err)
		}
		more = append(more, steps...)
	}
	if len(wrong.Targets) > 0 {
		return nil, &wrong
	}
	var out []Step
	for i, step := range s.Steps {
		if chosen[i] || len(targets) == 0 {
			out = append(out, step)
		}
	}
	if out = append(out, more...); len(out) == 0 {
		return nil, hint.Errorf("name them, as in tests: tests/*", "the suite has no tests")
	}
	return out, nil
}

// choose marks the suite's steps that target names, and reports whether there are any.
func (s *Suite) choose(target, wd string, chosen []bool) bool {
	chosenBy := func(step Step) bool { return step.named(target) }
	if !slices.ContainsFunc(s.Steps, chosenBy) {
		dir := absolute(wd, target)
		chosenBy = func(step Step) bool { return step.Dir == dir || sameFile(step.Dir, dir) }
	}
	found := false
	for i, step := range s.Steps {
		if chosenBy(step) {
			chosen[i], found = true, true
		}
	}
	return found
}

// named reports whether target is the step's name, its test's, or a pattern for either.
func (s Step) named(target string) bool {
	return slices.ContainsFunc([]string{s.Test, s.Name, s.Test + "@" + s.Image}, func(name string) bool { return means(target, name) })
}

// means reports whether target is the name, or a pattern for it.
func means(target, name string) bool {
	matched, err := path.Match(target, name)
	return target == name || err == nil && matched
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// SelectImages returns the names of the built images that the targets name, all of them
// without a target, in the suite's order. A target is an image's name or a pattern as
// path.Match has it. If a target names nothing, the error is a *TargetsError.
func (s *Suite) SelectImages(targets []string) ([]string, error) {
	built := s.Built()
	if len(built) == 0 {
		return nil, hint.Errorf("images: { NAME: { build: DIRECTORY } }", "the suite builds no image")
	}
	if err := checkTargets(targets, built, means, "the suite builds no image of that name"); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(built, func(name string) bool {
		return len(targets) > 0 && !slices.ContainsFunc(targets, func(target string) bool { return means(target, name) })
	}), nil
}

// checkTargets returns a *TargetsError, for the reason, if targets mean none of the names.
func checkTargets(targets, names []string, means func(target, name string) bool, reason string) error {
	var wrong TargetsError
	for _, target := range targets {
		if !slices.ContainsFunc(names, func(name string) bool { return means(target, name) }) {
			wrong.add(target, hint.Errorf(nearest.Hint(target, names), "target %s: %s", quoted(target), reason))
		}
	}
	if len(wrong.Targets) > 0 {
		return &wrong
	}
	return nil
}

// newcomer returns the steps of a directory that is not in the suite.
func (s *Suite) newcomer(target, wd string, others []Step) ([]Step, error) {
	dir := absolute(wd, target)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, s.noSuchTarget(target)
	}
	if _, err := os.Lstat(filepath.Join(dir, "test.sh")); err != nil {
		return nil, fmt.Errorf("directory %s: no test.sh in it", quoted(target))
	}
	steps, err := s.outside.stepsOf(dir)
	if err != nil {
		return nil, err
	}
	if err := s.checkNewcomers(steps); err != nil {
		return nil, err
	}
	for _, step := range steps {
		same := func(have Step) bool { return have.Name == step.Name }
		if i := slices.IndexFunc(others, same); i >= 0 && others[i].Dir == step.Dir {
			return nil, nil // named twice
		}
		if slices.ContainsFunc(s.Steps, same) || slices.ContainsFunc(others, same) {
			return nil, hint.Errorf("run it alone, or rename it", "directory %s: another test is named %s", quoted(target), quoted(step.Test))
		}
	}
	return steps, nil
}

func (s *Suite) noSuchTarget(target string) error {
	if _, err := path.Match(target, ""); err != nil {
		return fmt.Errorf("target %s: not a pattern", quoted(target))
	}
	var names []string
	for _, step := range s.Steps {
		names = append(names, step.Test, step.Name)
	}
	return hint.Errorf(nearest.Hint(target, names), "target %s: no test, step or directory has that name", quoted(target))
}
